-- PLAIN refuses a value beyond 8 KB, and whatever waits behind it would wait for ever.
ALTER TABLE events ALTER COLUMN value SET STORAGE EXTERNAL;

-- When a game ended, for good: it may be saved again after its end, and stays one line in the list.
ALTER TABLE games ADD COLUMN ended_at int8;
UPDATE games SET ended_at = taken_at WHERE status = 'ended';

-- A deadline moves with every move. An index that looks at `timed` instead, which hardly ever
-- changes, leaves those updates on their page (HOT) without an entry in any index.
ALTER TABLE games ADD COLUMN timed bool GENERATED ALWAYS AS (deadline IS NOT NULL) STORED;
DROP INDEX games_deadlines;
CREATE INDEX games_deadlines ON games (partition, id) WHERE timed;

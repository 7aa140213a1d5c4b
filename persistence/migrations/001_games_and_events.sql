-- One row a partition: who may write it (the assignment) and how far it is (the head of its log).
-- They're one row so that its lock makes a take-over wait for an append, and fences every later one.
CREATE TABLE partitions (
    id           int4 PRIMARY KEY,
    epoch        int8 NOT NULL DEFAULT 0,
    owner        text NOT NULL DEFAULT '',
    opened_epoch int8 NOT NULL DEFAULT 0,
    version      int8 NOT NULL DEFAULT 0,
    mode         text NOT NULL DEFAULT 'log',
    head         int8 NOT NULL DEFAULT 0,
    checkpoint   int8 NOT NULL DEFAULT 0,
    alive_until  int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The log. `at` is the writer's clock in ms since the epoch; it serves retention only.
CREATE TABLE events (
    partition int4  NOT NULL,
    "offset"  int8  NOT NULL,
    game      text  NOT NULL,
    seq       int4  NOT NULL,
    key       bytea NOT NULL,
    value     bytea NOT NULL,
    at        int8  NOT NULL,
    PRIMARY KEY (partition, "offset")
);
ALTER TABLE events ALTER COLUMN value SET STORAGE PLAIN;

-- When nobody owned a partition, in ms since the epoch: nobody's clock ran.
CREATE TABLE outages (
    partition int4 NOT NULL,
    since     int8 NOT NULL,
    until     int8 NOT NULL,
    PRIMARY KEY (partition, since)
);

-- One row a game, for good: its packed state, and its whole history in length-prefixed chunks.
CREATE TABLE games (
    id        text  PRIMARY KEY,
    partition int4  NOT NULL,
    kind      text  NOT NULL,
    seq       int4  NOT NULL,
    status    text  NOT NULL,
    moves     int4  NOT NULL,
    deadline  int8,
    seats     jsonb NOT NULL,
    taken_at  int8  NOT NULL,
    state     bytea NOT NULL,
    history   bytea NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX games_deadlines ON games (partition) WHERE deadline IS NOT NULL;
ALTER TABLE games ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE games ALTER COLUMN history SET STORAGE EXTERNAL;  -- compressed already

-- Who played which ended game.
CREATE TABLE played (
    player   text NOT NULL,
    ended_at int8 NOT NULL,
    game     text NOT NULL,
    kind     text NOT NULL,
    moves    int4 NOT NULL,
    PRIMARY KEY (player, ended_at, game)
);

-- Display names. Events hold ids only, so a person's name can be erased here.
CREATE TABLE names (
    player text PRIMARY KEY,
    name   text NOT NULL
);

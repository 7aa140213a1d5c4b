-- Each time a partition goes to the outbox is a round. Rows of a finished one are in Kafka: nobody
-- reads them any more, and they are deleted in pieces.
ALTER TABLE partitions ADD COLUMN round int8 NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN round int8 NOT NULL DEFAULT 0;
ALTER TABLE outbox DROP CONSTRAINT outbox_pkey;
ALTER TABLE outbox ADD PRIMARY KEY (partition, round, place);

-- Where a partition is whose log is Kafka: from where a drain reads it, and who claimed it there.
ALTER TABLE partitions ADD COLUMN kafka_offset int8 NOT NULL DEFAULT 0;
ALTER TABLE partitions ADD COLUMN producer_id int8;

-- New events while Kafka is away, in the order in which they'll be appended to it.
CREATE TABLE outbox (
    partition int4  NOT NULL,
    place     int4  NOT NULL,
    game      text  NOT NULL,
    seq       int4  NOT NULL,
    key       bytea NOT NULL,
    value     bytea NOT NULL,
    PRIMARY KEY (partition, place),
    UNIQUE (game, seq)
);
ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL;

-- How far a consumer of the topic is with each game: the last seq that it did its work for, in the
-- transaction of that work. `at` is when, in ms since the epoch; it serves forgetting only.
CREATE TABLE consumed (
    consumer text NOT NULL,
    game     text NOT NULL,
    seq      int4 NOT NULL,
    at       int8 NOT NULL,
    PRIMARY KEY (consumer, game)
);
CREATE INDEX consumed_at ON consumed USING brin (at);

-- Records that a consumer couldn't take, by where they are in Kafka; their copies are in a topic.
CREATE TABLE dead_letters (
    consumer   text  NOT NULL,
    topic      text  NOT NULL,
    partition  int4  NOT NULL,
    "offset"   int8  NOT NULL,
    game       text  NOT NULL,  -- '' if the record doesn't say it
    seq        int4  NOT NULL,
    reason     text  NOT NULL,
    at         int8  NOT NULL,
    settled_at int8,
    PRIMARY KEY (consumer, topic, partition, "offset")
);

-- Ended games, for good: who, how, and the texts that other programs read.
CREATE TABLE archive (
    game     text  PRIMARY KEY,
    kind     text  NOT NULL,
    seq      int4  NOT NULL,  -- of the event that ended it
    ended_at int8  NOT NULL,
    players  jsonb NOT NULL,
    result   jsonb NOT NULL,
    moves    int4  NOT NULL,
    exports  jsonb NOT NULL
);

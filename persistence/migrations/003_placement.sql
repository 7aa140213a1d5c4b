-- One row: how many coordinators there were, and what operators decided about placement (opaque
-- here; changed by compare-and-set on its version).
CREATE TABLE placement (
    one          bool  PRIMARY KEY DEFAULT true CHECK (one),
    term         int8  NOT NULL DEFAULT 0,
    plan_version int8  NOT NULL DEFAULT 0,
    plan         bytea NOT NULL DEFAULT ''
);
INSERT INTO placement DEFAULT VALUES;

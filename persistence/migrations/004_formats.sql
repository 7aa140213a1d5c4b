-- Which version of each kind's format is written, so that whoever takes part can read it. It only grows.
CREATE TABLE formats (
    kind    text PRIMARY KEY,
    version int4 NOT NULL
);

CREATE SCHEMA IF NOT EXISTS msgcube;
SET LOCAL search_path = msgcube;

CREATE TABLE installation (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  shards integer NOT NULL,
  made timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whoever has this row locked has the turn. So all transactions that write facts run one after the other.
CREATE TABLE turn_lock (one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO turn_lock DEFAULT VALUES;

-- Committed turns of about the last hour. The random id tells two histories apart, if a standby without the last
-- turns was promoted, and answers whether a commit whose answer was lost was stored.
CREATE TABLE turn (
  seq bigint PRIMARY KEY,
  id text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO turn (seq, id) VALUES (0, gen_random_uuid()::text);

-- value NULL: removed. Such rows are deleted together with their turns.
CREATE TABLE fact (key text COLLATE "C" PRIMARY KEY, value bytea, seq bigint NOT NULL);
CREATE INDEX fact_seq ON fact (seq);
CREATE INDEX fact_removed ON fact (seq) WHERE value IS NULL;

-- run: random, one for each start. seen: by this server's clock.
CREATE TABLE process (
  name text PRIMARY KEY,
  run text NOT NULL,
  started_s bigint NOT NULL,
  marked_s bigint NOT NULL,
  ended_s bigint,
  seen timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE quota (
  appid text, interface text, day integer, used bigint NOT NULL, PRIMARY KEY (appid, interface, day)
) WITH (fillfactor = 70);
CREATE TABLE attempt (name text PRIMARY KEY, times integer NOT NULL, until timestamptz NOT NULL) WITH (fillfactor = 70);

-- generation: how often rows of a closed day were announced, and done.
CREATE TABLE period (appid text, day integer, generation bigint NOT NULL, PRIMARY KEY (appid, day));
CREATE TABLE late (
  batch text, appid text, day integer, until timestamptz NOT NULL, PRIMARY KEY (batch, appid, day)
);
CREATE INDEX late_day ON late (appid, day);
CREATE TABLE result (
  appid text, granularity smallint, start integer, generation bigint NOT NULL, body bytea NOT NULL,
  PRIMARY KEY (appid, granularity, start)
);

-- May be lost, so it costs no write to the log. upto: bytes of all such calls until the end of this one. Calls of strangers
-- have a place of their own, so they displace no call of an owner.
CREATE UNLOGGED TABLE refused (
  is_by_owner boolean, upto bigint, rid text NOT NULL, appid text NOT NULL, body bytea NOT NULL, PRIMARY KEY (is_by_owner, upto));
CREATE INDEX refused_rid ON refused (rid);
CREATE UNLOGGED TABLE refused_end (is_by_owner boolean PRIMARY KEY, upto bigint NOT NULL);

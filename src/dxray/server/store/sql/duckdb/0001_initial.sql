-- The ledger. One row is one observation; run and step rows are the last version of each.
-- No keys and no indexes: rows are found by the zone maps of `run_no`, the place of a run in time (see
-- `run_numbers.py`), and appending stays cheap.
-- Times are microseconds since 1970 in UTC. Free values are JSON text, as the SDK made them.

CREATE TABLE runs (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    version BIGINT NOT NULL,
    pipeline VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    started_at BIGINT NOT NULL,       -- as said, else when the server first heard of the run
    ended_at BIGINT,
    duration_ms DOUBLE,
    input VARCHAR,
    output VARCHAR,
    error VARCHAR,
    metadata VARCHAR,
    environment VARCHAR,
    code_version VARCHAR,
    variant VARCHAR,
    parent_run_id VARCHAR,
    trace_id VARCHAR,
    input_fingerprint VARCHAR,
    output_fingerprint VARCHAR,
    marks VARCHAR,                    -- JSON text [..], null when none
    producer VARCHAR,                 -- who sent this version; null for a run posted whole
    received_at BIGINT NOT NULL,      -- the server's clock
    request_hash VARCHAR,             -- of the canonical request, for a run posted whole
    run_key BIGINT NOT NULL,          -- hash of project and run_id: joining by it costs a third
    said VARCHAR                      -- of a run told in parts: JSON text {column: version that says it}; else null
);

CREATE TABLE steps (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    step_name VARCHAR NOT NULL,
    step_type VARCHAR,
    position INTEGER NOT NULL,
    parent_step_id VARCHAR,
    after VARCHAR[],
    after_inferred BOOLEAN NOT NULL,
    attempt INTEGER NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    duration_ms DOUBLE,
    input VARCHAR,
    output VARCHAR,
    declared_input_count BIGINT,
    declared_output_count BIGINT,
    declared_rejections VARCHAR,      -- JSON text {reason: n}
    cutoff INTEGER,
    config VARCHAR,
    usage VARCHAR,
    metadata VARCHAR,
    error VARCHAR,
    input_fingerprint VARCHAR,
    config_fingerprint VARCHAR,
    output_fingerprint VARCHAR,
    events BIGINT,                    -- how many the step says it emitted; null while it runs
    marks VARCHAR,
    run_key BIGINT NOT NULL,
    step_key BIGINT NOT NULL          -- hash of project, run_id and step_id
);

-- Rarely used attributes share one column: in a table of events a column of nothing but nulls costs an insert 45 ns
-- a row, as much as one of numbers. The source `events` shows each of them as a column.
CREATE TABLE events (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    event_no INTEGER NOT NULL,
    "at" BIGINT NOT NULL,
    item_id VARCHAR NOT NULL,
    outcome VARCHAR,                  -- null for observations: a score, a rule passed, a reference
    reason VARCHAR,
    score DOUBLE,
    name VARCHAR,
    rule_id VARCHAR,
    passed BOOLEAN,
    shape_id VARCHAR,
    num DOUBLE[],
    str VARCHAR[],
    extra VARCHAR                     -- JSON text, null for most:
    --   decided_by      absent: code; else rule, model, person
    --   kind            of the item
    --   ref_item, ref_kind   another item, as merged_into, duplicate_of, beaten_by
    --   evidence_text   JSON text, past the limit of shapes a pipeline may have
    --   evidence_state  absent: kept, or none was given; else sampled_out, truncated, redacted
    --   p               evidence of this step was sampled with this probability
    --   kept_because    absent: all were, or by chance
    --   marks           [what was changed to be stored]
);

-- Where each evidence key of a shape lies: num[position] or str[position], from 1.
CREATE TABLE shapes (
    project VARCHAR NOT NULL,
    pipeline VARCHAR NOT NULL,        -- that used it first, and whose limit it counts against
    shape_id VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    class VARCHAR NOT NULL,           -- number, bool (in num); text, json, exact, nonfinite (in str)
    position INTEGER NOT NULL
);

CREATE TABLE lineage (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    event_no INTEGER NOT NULL,
    item_id VARCHAR NOT NULL,
    parent_id VARCHAR NOT NULL
);

CREATE TABLE decisions (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    decision VARCHAR NOT NULL,
    selected VARCHAR[] NOT NULL,
    reason VARCHAR,
    score DOUBLE,
    alternatives VARCHAR,             -- JSON text
    "at" BIGINT
);

-- The rules of a step as its last version counts them. rule_id is a hash of field, op, threshold and reason.
CREATE TABLE rules (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    version BIGINT NOT NULL,
    number INTEGER NOT NULL,
    rule_id VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    op VARCHAR NOT NULL,
    threshold VARCHAR NOT NULL,       -- JSON text
    reason VARCHAR NOT NULL,
    evaluated BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    uncomparable BIGINT NOT NULL,
    rule_key BIGINT NOT NULL          -- hash of project, run_id, step_id and number
);

-- What did not arrive, or not as it was. Rows are only appended: the losses of a run add up.
CREATE TABLE losses (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,          -- '' where nobody knows whose they were
    run_no BIGINT NOT NULL,
    step_id VARCHAR,                  -- null where it is not known
    cause VARCHAR NOT NULL,
    n BIGINT NOT NULL,                -- events; of truncated and redacted, values
    "at" BIGINT NOT NULL              -- when the server heard of it
);

CREATE TABLE labels (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    number INTEGER NOT NULL,
    label VARCHAR NOT NULL,
    item_id VARCHAR,
    note VARCHAR,
    "at" BIGINT NOT NULL,
    removed BOOLEAN NOT NULL
);

-- What is known of a step's items, made by the commit that brings its record or its events: exact counts of distinct
-- items, and what follows from them and from the declared counts. Every step has a row here.
CREATE TABLE tallies (
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    run_no BIGINT NOT NULL,
    step_id VARCHAR NOT NULL,
    step_key BIGINT NOT NULL,
    recorded_events BIGINT NOT NULL,  -- rows there are
    entered BIGINT NOT NULL,          -- items with events that the step did not produce
    produced BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    selected BIGINT NOT NULL,
    outranked BIGINT NOT NULL,
    merged BIGINT NOT NULL,
    consumed BIGINT NOT NULL,
    undecided BIGINT NOT NULL,        -- items with events and no outcome
    decided BOOLEAN NOT NULL,         -- a decision was recorded there
    reasons VARCHAR[] NOT NULL,       -- of the rejected, with their counts
    reason_counts BIGINT[] NOT NULL,
    input_count BIGINT,               -- as declared, else what the events say
    output_count BIGINT,
    rejection_rate DOUBLE,
    rejection_counts VARCHAR,         -- JSON text {reason: n}, by the events, else as declared
    accepted_by_count BIGINT NOT NULL,  -- accepted items that no event names
    unaccounted BIGINT,               -- signed: in + produced - all outcomes
    missing_events BIGINT,            -- signed: said to be emitted, and not here; null while the step runs
    contradiction BOOLEAN NOT NULL    -- the declared counts and the events cannot both be true
);

CREATE TABLE marks (
    project VARCHAR NOT NULL,
    producer VARCHAR NOT NULL,
    ranges BIGINT[] NOT NULL,         -- first, last, first, last, ...
    seen_at BIGINT NOT NULL
);

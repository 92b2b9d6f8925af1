-- What one commit does; `incoming` is the Arrow table at hand. {table} and {key} are names of ours: a versioned table,
-- and its hash of the row's identity. `lo` and `hi` are the least and the greatest number of their runs (see `run_numbers.py`),
-- so that only few row groups are read, however many runs there are.

-- name: present
-- The versions that are there, and of runs whether they are told in parts.
SELECT {key}, max(version), bool_or({in_parts}) FROM {table}
WHERE run_no BETWEEN $lo AND $hi AND {key} IN (SELECT unnest($keys))
GROUP BY {key}

-- name: runs_there
-- Runs as they are now, to be merged with versions that know only a part.
SELECT * FROM runs WHERE run_no BETWEEN $lo AND $hi AND run_key IN (SELECT unnest($keys))

-- name: drop
-- Rows that are replaced.
DELETE FROM {table} WHERE run_no BETWEEN $lo AND $hi AND {key} IN (SELECT unnest($keys))

-- name: append
-- New rows.
INSERT INTO {table} BY NAME SELECT * FROM incoming

-- name: add_shapes
-- A shape is stored once, whoever brings it first.
INSERT INTO shapes BY NAME
SELECT * FROM incoming n
WHERE NOT EXISTS (SELECT 1 FROM shapes s WHERE s.project = n.project AND s.shape_id = n.shape_id)
QUALIFY row_number() OVER (PARTITION BY project, shape_id, key ORDER BY pipeline) = 1

-- name: drop_marks
-- Marks that are replaced.
DELETE FROM marks WHERE (project, producer) IN (SELECT unnest($projects), unnest($producers))

-- name: declared
-- What steps declare.
SELECT step_key, declared_input_count, declared_output_count, declared_rejections, events, cutoff
FROM steps
WHERE run_no BETWEEN $lo AND $hi AND step_key IN (SELECT unnest($keys))

-- name: counted
-- The counts of steps so far.
SELECT step_key, recorded_events, entered, produced, accepted, rejected, selected, outranked, merged, consumed,
    undecided, decided, reasons, reason_counts
FROM tallies
WHERE run_no BETWEEN $lo AND $hi AND step_key IN (SELECT unnest($keys))

-- name: events_of
-- All events of some steps, as they are counted.
SELECT n.no, e.event_no, e.item_id, e.outcome, e.reason, e.score
FROM events e JOIN incoming n USING (project, run_id, step_id)
WHERE e.run_no BETWEEN $lo AND $hi

-- name: tally
-- Distinct items of the steps in `incoming` by their last outcome, as `tallies.py` counts them: `last` is
-- event_no * 8 + the outcome's number, which costs a third of arg_max.
WITH item AS (
    SELECT n.no, e.item_id,
        max(e.event_no * 8::BIGINT + CASE e.outcome
            WHEN 'rejected' THEN 2 WHEN 'accepted' THEN 1 WHEN 'produced' THEN 0 WHEN 'selected' THEN 3
            WHEN 'outranked' THEN 4 WHEN 'merged' THEN 5 WHEN 'consumed' THEN 6 END) AS last,
        bool_or(e.outcome = 'produced') AS produced,
        count(e.score) > 0 AS scored,
        count(*) AS events
    FROM events e JOIN incoming n USING (project, run_id, step_id)
    GROUP BY n.no, e.item_id
),
scored AS (  -- where a cut-off stands: how many items are better by their last score, and how many as good
    SELECT no, item_id,
        rank() OVER (PARTITION BY no ORDER BY score DESC) - 1 AS above,
        count(*) OVER (PARTITION BY no, score) AS level
    FROM (
        SELECT n.no, e.item_id, arg_max(e.score, e.event_no) AS score
        FROM events e JOIN incoming n USING (project, run_id, step_id)
        WHERE n.cutoff IS NOT NULL AND e.score IS NOT NULL
        GROUP BY ALL
    )
),
choice AS (
    SELECT i.no, any_value(n.decided) OR bool_or(coalesce(i.last & 7 = 3, false)) AS chose
    FROM item i JOIN incoming n USING (no)
    GROUP BY i.no
),
verdict AS (
    SELECT i.no, i.last, i.events, coalesce(i.produced, false) AS produced,
        CASE
            WHEN i.last & 7 > 0 THEN i.last & 7
            WHEN i.scored AND c.chose THEN 4
            WHEN i.scored AND n.cutoff IS NOT NULL THEN
                CASE WHEN s.above >= n.cutoff THEN 4 WHEN s.above + s.level <= n.cutoff THEN 1 END
            WHEN i.last IS NOT NULL THEN 1  -- produced, and nothing more: accepted
        END AS outcome
    FROM item i
    JOIN incoming n USING (no)
    JOIN choice c USING (no)
    LEFT JOIN scored s ON s.no = i.no AND s.item_id = i.item_id
),
reason AS (
    SELECT no, list(reason ORDER BY n DESC, reason) AS reasons, list(n ORDER BY n DESC, reason) AS reason_counts
    FROM (
        SELECT v.no, coalesce(e.reason, 'unspecified') AS reason, count(*) AS n
        FROM events e
        JOIN incoming n USING (project, run_id, step_id)
        JOIN verdict v ON v.no = n.no AND v.last >> 3 = e.event_no
        WHERE v.outcome = 2
        GROUP BY ALL
    )
    GROUP BY no
),
counted AS (
    SELECT no,
        sum(events)::BIGINT AS events,
        count(*) FILTER (NOT produced) AS entered,
        count(*) FILTER (produced) AS produced,
        count(*) FILTER (outcome = 1) AS accepted,
        count(*) FILTER (outcome = 2) AS rejected,
        count(*) FILTER (outcome = 3) AS selected,
        count(*) FILTER (outcome = 4) AS outranked,
        count(*) FILTER (outcome = 5) AS merged,
        count(*) FILTER (outcome = 6) AS consumed,
        count(*) FILTER (outcome IS NULL) AS undecided
    FROM verdict GROUP BY no
)
SELECT c.*, coalesce(r.reasons, []) AS reasons, coalesce(r.reason_counts, []) AS reason_counts
FROM counted c LEFT JOIN reason r USING (no)

-- name: left_open
-- Steps that were too large to count again while open, and have not ended.
SELECT t.project, t.run_id, t.step_id
FROM tallies t JOIN steps s USING (step_key)
WHERE t.recorded_events > $too_many AND s.events IS NULL

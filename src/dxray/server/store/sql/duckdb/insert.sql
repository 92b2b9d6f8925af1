-- What one commit does. The tables in_NAME are Arrow tables of the commit; `newest` is the answer to newest_NAME.
-- What is there already is found by inner joins: their filters reach the scan, so that only the row groups with the
-- commit's run ids are read, however many runs there are.

-- name: newest_runs
-- The last version of each run in this commit, unless the store has a newer one.
WITH present AS (
    SELECT r.project, r.run_id, max(r.version) AS version
    FROM runs r JOIN (SELECT DISTINCT project, run_id FROM in_runs) n USING (project, run_id)
    GROUP BY ALL
)
SELECT n.* FROM in_runs n LEFT JOIN present p USING (project, run_id)
WHERE p.version IS NULL OR p.version <= n.version
QUALIFY row_number() OVER (PARTITION BY n.project, n.run_id ORDER BY n.version DESC) = 1

-- name: drop_runs
-- Versions that are replaced.
DELETE FROM runs r USING newest n WHERE r.project = n.project AND r.run_id = n.run_id

-- name: newest_steps
-- The last version of each step in this commit, unless the store has a newer one.
WITH present AS (
    SELECT s.project, s.run_id, s.step_id, max(s.version) AS version
    FROM steps s JOIN (SELECT DISTINCT project, run_id, step_id FROM in_steps) n USING (project, run_id, step_id)
    GROUP BY ALL
)
SELECT n.* FROM in_steps n LEFT JOIN present p USING (project, run_id, step_id)
WHERE p.version IS NULL OR p.version <= n.version
QUALIFY row_number() OVER (PARTITION BY n.project, n.run_id, n.step_id ORDER BY n.version DESC) = 1

-- name: drop_steps
-- Versions that are replaced.
DELETE FROM steps s USING newest n WHERE s.project = n.project AND s.run_id = n.run_id AND s.step_id = n.step_id

-- name: newest_rules
-- The last count of each rule in this commit, unless the store has a newer one.
WITH present AS (
    SELECT r.project, r.run_id, r.step_id, r.number, max(r.version) AS version
    FROM rules r JOIN (SELECT DISTINCT project, run_id, step_id FROM in_rules) n USING (project, run_id, step_id)
    GROUP BY ALL
)
SELECT n.* FROM in_rules n LEFT JOIN present p USING (project, run_id, step_id, number)
WHERE p.version IS NULL OR p.version <= n.version
QUALIFY row_number() OVER (PARTITION BY n.project, n.run_id, n.step_id, n.number ORDER BY n.version DESC) = 1

-- name: drop_rules
-- Counts that are replaced.
DELETE FROM rules r USING newest n
WHERE r.project = n.project AND r.run_id = n.run_id AND r.step_id = n.step_id AND r.number = n.number

-- name: add_shapes
-- A shape is stored once, whoever brings it first.
INSERT INTO shapes BY NAME
SELECT * FROM in_shapes n
WHERE NOT EXISTS (SELECT 1 FROM shapes s WHERE s.project = n.project AND s.shape_id = n.shape_id)
QUALIFY row_number() OVER (PARTITION BY project, shape_id, key ORDER BY pipeline) = 1

-- name: drop_marks
-- Marks that are replaced.
DELETE FROM marks m USING in_marks n WHERE m.project = n.project AND m.producer = n.producer

-- name: known_steps
-- What the steps that this commit mentions declare, and their counts so far.
SELECT c.no, s.declared_input_count, s.declared_output_count, s.declared_rejections, s.events, s.cutoff,
    t.recorded_events, t.entered, t.produced, t.accepted, t.rejected, t.selected, t.outranked, t.merged, t.consumed,
    t.undecided, t.reasons, t.reason_counts
FROM in_changed c
LEFT JOIN (SELECT s.* FROM steps s JOIN in_changed USING (step_key)) s USING (step_key)
LEFT JOIN (SELECT t.* FROM tallies t JOIN in_changed USING (step_key)) t USING (step_key)

-- name: drop_tallies
-- Counts that are replaced.
DELETE FROM tallies t USING in_tallies n WHERE t.step_key = n.step_key

-- name: tally
-- Distinct items of the steps in `touched` by their last outcome, as `tallies.py` counts them: `last` is
-- event_no * 8 + the outcome's number, which costs a third of arg_max.
WITH item AS (
    SELECT n.no, e.item_id,
        max(e.event_no * 8::BIGINT + CASE e.outcome
            WHEN 'rejected' THEN 2 WHEN 'accepted' THEN 1 WHEN 'produced' THEN 0 WHEN 'selected' THEN 3
            WHEN 'outranked' THEN 4 WHEN 'merged' THEN 5 WHEN 'consumed' THEN 6 END) AS last,
        bool_or(e.outcome = 'produced') AS produced,
        count(e.score) > 0 AS scored,
        count(*) AS events
    FROM events e JOIN touched n USING (project, run_id, step_id)
    GROUP BY n.no, e.item_id
),
best AS (  -- the items above a cut-off, by their last score
    SELECT no, item_id
    FROM (
        SELECT n.no, e.item_id, n.cutoff, arg_max(e.score, e.event_no) AS score, min(e.event_no) AS first
        FROM events e JOIN touched n USING (project, run_id, step_id)
        WHERE n.cutoff IS NOT NULL AND e.score IS NOT NULL
        GROUP BY ALL
    )
    QUALIFY row_number() OVER (PARTITION BY no ORDER BY score DESC, first) <= cutoff
),
decided AS (
    SELECT no, bool_or(coalesce(last & 7 = 3, false)) AS chose FROM item GROUP BY no
),
verdict AS (
    SELECT i.no, i.last, i.events, coalesce(i.produced, false) AS produced,
        CASE
            WHEN i.last IS NOT NULL THEN greatest(i.last & 7, 1)  -- produced, and nothing more: accepted
            WHEN i.scored AND n.cutoff IS NOT NULL THEN CASE WHEN b.item_id IS NULL THEN 4 ELSE 1 END
            WHEN i.scored AND d.chose THEN 4
        END AS outcome
    FROM item i
    JOIN touched n USING (no)
    JOIN decided d USING (no)
    LEFT JOIN best b ON b.no = i.no AND b.item_id = i.item_id
),
reason AS (
    SELECT no, list(reason ORDER BY n DESC, reason) AS reasons, list(n ORDER BY n DESC, reason) AS reason_counts
    FROM (
        SELECT v.no, coalesce(e.reason, 'unspecified') AS reason, count(*) AS n
        FROM events e
        JOIN touched n USING (project, run_id, step_id)
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

-- What the sources show. Each query is one project's ($project); those of runs also take the server's time ($now) and
-- the latest time at which a producer must have spoken ($alive_since, all in microseconds).

-- name: runs
-- A run whose producer has been silent for too long is abandoned, until it speaks again.
SELECT r.* REPLACE (
        CASE WHEN r.status = 'running' AND greatest(coalesce(m.seen_at, r.received_at), $opened_at) < $alive_since
             THEN 'abandoned' ELSE r.status END AS status),
    coalesce(m.seen_at, r.received_at) AS seen_at
FROM runs r
LEFT JOIN marks m ON m.project = r.project AND m.producer = r.producer
WHERE r.project = $project

-- name: late_runs
-- How many steps each run of a page has.
SELECT page.*, coalesce(n.step_count, 0) AS step_count
FROM page
LEFT JOIN (
    SELECT run_id, count(*) AS step_count
    FROM steps
    WHERE project = $project AND run_id IN (SELECT run_id FROM page)
    GROUP BY run_id
) n ON n.run_id = page.run_id

-- name: steps
-- Steps with their counts and what is asked most of their run.
SELECT s.*, t.* EXCLUDE (project, run_id, step_id, step_key),
    r.pipeline, r.environment, r.code_version, r.started_at AS run_started_at,
    CASE WHEN r.status = 'running' AND greatest(coalesce(m.seen_at, r.received_at), $opened_at) < $alive_since
         THEN 'abandoned' ELSE r.status END AS run_status
FROM steps s
LEFT JOIN tallies t ON t.step_key = s.step_key
LEFT JOIN runs r ON r.run_key = s.run_key
LEFT JOIN marks m ON m.project = r.project AND m.producer = r.producer
WHERE s.project = $project

-- name: events
-- Events with what few of them have, and with the name and type of their step.
SELECT e.* EXCLUDE (extra),
    json_extract_string(e.extra, '$.decided_by') AS decided_by,
    json_extract_string(e.extra, '$.kind') AS kind,
    json_extract_string(e.extra, '$.ref_item') AS ref_item,
    json_extract_string(e.extra, '$.ref_kind') AS ref_kind,
    json_extract_string(e.extra, '$.evidence_text') AS evidence_text,
    json_extract_string(e.extra, '$.evidence_state') AS evidence_state,
    CAST(json_extract_string(e.extra, '$.p') AS REAL) AS p,
    json_extract_string(e.extra, '$.kept_because') AS kept_because,
    CAST(json_extract(e.extra, '$.marks') AS VARCHAR) AS marks,
    s.step_name, s.step_type
FROM events e
LEFT JOIN steps s ON s.project = e.project AND s.run_id = e.run_id AND s.step_id = e.step_id
WHERE e.project = $project

-- name: shapes
-- Where each evidence key of a shape lies.
SELECT * FROM shapes WHERE project = $project

-- name: lineage
-- Which item came from which.
SELECT * FROM lineage WHERE project = $project

-- name: decisions
-- Choices, as the steps made them.
SELECT * FROM decisions WHERE project = $project

-- name: rules
-- Rules of steps, with their counts.
SELECT * FROM rules WHERE project = $project

-- name: labels
-- What was said of runs afterwards.
SELECT * FROM labels WHERE project = $project

-- What the sources are read from: first the table, then the joins, each of which is made only where a query names one of
-- its columns (planning a join costs more than most of these queries). Reads are one project's ($project).

-- name: runs
-- Runs.
FROM runs r

-- name: runs_m
-- When a run's producer spoke last.
LEFT JOIN marks m ON m.project = r.project AND m.producer = r.producer

-- name: status
-- A run whose producer has been silent since before $alive_since is abandoned, until it speaks again; a server that has
-- just been opened ($opened_at) waits first. Both in microseconds of the server's clock. $alive are the producers that
-- spoke since: the server has heard them itself, and a join to their marks costs a page of steps a fifth of its time.
CASE WHEN r.status <> 'running' THEN r.status
     WHEN greatest(r.received_at, $opened_at) >= $alive_since THEN r.status
     WHEN coalesce(list_contains($alive::VARCHAR[], r.producer), false) THEN r.status
     ELSE 'abandoned' END

-- name: step_counts
-- How many steps each run of a page has.
SELECT run_id, count(*)
FROM steps
WHERE project = $project AND run_no BETWEEN $lo AND $hi AND run_id IN (SELECT unnest($run_ids))
GROUP BY run_id

-- name: steps
-- Steps.
FROM steps s

-- name: steps_t
-- What is known of a step's items. Every step has a row there.
JOIN tallies t ON t.step_key = s.step_key

-- name: steps_r
-- A step's run, which may not have come yet.
LEFT JOIN runs r ON r.run_key = s.run_key

-- name: events
-- Events.
FROM events e

-- name: events_s
-- The step of an event.
LEFT JOIN steps s ON s.project = e.project AND s.run_id = e.run_id AND s.step_id = e.step_id

-- name: shapes
-- Where each evidence key of a shape lies.
FROM shapes x

-- name: lineage
-- Which item came from which.
FROM lineage x

-- name: decisions
-- Choices, as the steps made them.
FROM decisions x

-- name: rules
-- Rules of steps, with their counts.
FROM rules x

-- name: losses
-- What did not arrive, or not as it was.
FROM losses x

-- name: labels
-- What was said of runs afterwards.
FROM labels x

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
-- Steps with their counts. Nothing is clamped: where counts and events contradict each other, that is shown.
WITH counted AS (
    SELECT s.*,
        r.pipeline, r.environment, r.code_version, r.started_at AS run_started_at,
        CASE WHEN r.status = 'running' AND greatest(coalesce(m.seen_at, r.received_at), $opened_at) < $alive_since
             THEN 'abandoned' ELSE r.status END AS run_status,
        coalesce(t.events, 0) AS recorded_events,
        coalesce(t.entered, 0) AS entered,
        coalesce(t.produced, 0) AS produced,
        coalesce(t.accepted, 0) AS accepted,
        coalesce(t.rejected, 0) AS rejected,
        coalesce(t.selected, 0) AS selected,
        coalesce(t.outranked, 0) AS outranked,
        coalesce(t.merged, 0) AS merged,
        coalesce(t.consumed, 0) AS consumed,
        coalesce(t.undecided, 0) AS undecided,
        coalesce(t.reasons, []) AS reasons,
        coalesce(t.reason_counts, []) AS reason_counts,
        coalesce(s.declared_input_count, t.entered) AS input_count,
        coalesce(s.declared_output_count, t.accepted + t.selected) AS output_count,
        greatest(coalesce(s.declared_output_count, 0) - coalesce(t.accepted + t.selected, 0), 0) AS accepted_by_count,
        CASE WHEN s.declared_rejections IS NULL THEN 0
             ELSE coalesce(list_sum(TRY_CAST(json_extract(s.declared_rejections, '$.*') AS BIGINT[])), 0)::BIGINT
        END AS declared_rejected
    FROM steps s
    LEFT JOIN tallies t ON t.project = s.project AND t.run_id = s.run_id AND t.step_id = s.step_id
    LEFT JOIN runs r ON r.project = s.project AND r.run_id = s.run_id
    LEFT JOIN marks m ON m.project = r.project AND m.producer = r.producer
    WHERE s.project = $project
),
balanced AS (
    SELECT *,
        input_count + produced - (accepted + rejected + selected + outranked + merged + consumed)
            - accepted_by_count - greatest(declared_rejected - rejected, 0) AS unaccounted,
        events - recorded_events AS missing_events,
        CASE
            WHEN input_count IS NULL OR input_count <= 0 THEN NULL
            WHEN rejected > 0 THEN 1.0 * rejected / input_count
            WHEN declared_rejected > 0 THEN 1.0 * declared_rejected / input_count
            WHEN recorded_events > 0 AND entered >= input_count THEN 0.0
            WHEN declared_input_count IS NULL OR declared_output_count IS NULL THEN NULL
            WHEN declared_output_count <= declared_input_count
                THEN 1.0 - 1.0 * declared_output_count / declared_input_count
        END AS rate
    FROM counted
)
SELECT * EXCLUDE (rate, declared_rejected),
    CASE WHEN rate <= 1.0 THEN rate END AS rejection_rate,
    CASE WHEN len(reasons) > 0 THEN CAST(to_json(map(reasons, reason_counts)) AS VARCHAR)
         ELSE declared_rejections END AS rejection_counts,
    coalesce(unaccounted < 0, false)
        OR coalesce(declared_input_count < entered, false)
        OR coalesce(declared_output_count < accepted + selected, false)
        OR coalesce(rate > 1.0, false)
        OR (declared_rejected > 0 AND rejected > declared_rejected) AS contradiction
FROM balanced

-- name: events
-- Events with what few of them have, and with the name and type of their step.
SELECT e.* EXCLUDE (extra),
    coalesce(json_extract_string(e.extra, '$.decided_by')) AS decided_by,
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

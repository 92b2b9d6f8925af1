-- Read by SQLite and by PostgreSQL. Times are microseconds since 1970.

CREATE TABLE views (
    project VARCHAR(128) NOT NULL,
    name VARCHAR(80) NOT NULL,
    source VARCHAR(16) NOT NULL CHECK (source IN ('runs', 'steps')),
    q TEXT NOT NULL,
    note TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, name)
);

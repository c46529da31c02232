-- In which slices a trace's calls lie (ledger/facets.h). Each trace is new, so that among the facets
-- of log_slices, which stand in their own order, every call would change another page: here what is
-- put stands beside what was put before. (log_slices has those of before this migration.)
CREATE TABLE log_traces (
    slice INTEGER NOT NULL,
    facet INTEGER NOT NULL,
    PRIMARY KEY (slice, facet)
);

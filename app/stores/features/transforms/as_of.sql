-- For each label the seq of the row that it sees; the rule of pointintime.py without an ASOF join, for any engine.
-- Within an entity at_s never falls while seq rises, so the row seen last is the one with the largest seq.
WITH line AS (
  SELECT kind, entity, at_s, seq, 1 AS is_row, CAST(NULL AS BIGINT) AS place FROM history
  UNION ALL
  SELECT kind, entity, at_s, seq, 0 AS is_row, place FROM labels
),
seen AS (
  SELECT *, max(CASE WHEN is_row = 1 THEN seq END) OVER (
    PARTITION BY kind, entity ORDER BY at_s, seq, is_row ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS row_seq
  FROM line
)
SELECT place, coalesce(row_seq, CAST(0 AS BIGINT)) AS row_seq FROM seen WHERE is_row = 0

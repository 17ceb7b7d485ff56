-- One row a kind and game day: how many were seen, and what they did on the whole by then.
WITH placed AS (
  SELECT *, CAST(floor(at_s / 86400.0) AS BIGINT) AS game_day FROM history
),
newest AS (
  SELECT *, row_number() OVER (PARTITION BY kind, entity, game_day ORDER BY at_s DESC, seq DESC) AS place FROM placed
)
SELECT
  kind, game_day,
  count(*) AS seen,
  CAST(sum(CAST(deeds AS DOUBLE)) AS DOUBLE) AS deeds,
  CAST(sum(CAST(kills AS DOUBLE)) AS DOUBLE) AS kills,
  CAST(sum(CAST(quests_completed AS DOUBLE)) AS DOUBLE) AS quests_completed,
  CAST(max(CAST(warmth_met AS DOUBLE)) AS DOUBLE) AS warmth_met_max
FROM newest
WHERE place = 1 AND present
GROUP BY kind, game_day

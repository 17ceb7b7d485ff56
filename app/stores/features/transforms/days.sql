-- One row an entity and game day: its last vector of the day, and how much the day added.
WITH placed AS (
  SELECT *, CAST(floor(at_s / 86400.0) AS BIGINT) AS game_day FROM history
),
newest AS (
  SELECT *, row_number() OVER (PARTITION BY kind, entity, game_day ORDER BY at_s DESC, seq DESC) AS place FROM placed
),
last_of_day AS (
  SELECT * FROM newest WHERE place = 1 AND present
)
SELECT
  kind, entity, game_day, seq,
  CAST(deeds AS DOUBLE) AS deeds,
  CAST(deeds AS DOUBLE) - coalesce(lag(CAST(deeds AS DOUBLE)) OVER past, CAST(0 AS DOUBLE)) AS deeds_today,
  CAST(talks AS DOUBLE) - coalesce(lag(CAST(talks AS DOUBLE)) OVER past, CAST(0 AS DOUBLE)) AS talks_today,
  CAST(gifts_taken AS DOUBLE) - coalesce(lag(CAST(gifts_taken AS DOUBLE)) OVER past, CAST(0 AS DOUBLE)) AS gifts_today,
  CAST(warmth_met AS DOUBLE) AS warmth_met
FROM last_of_day
WINDOW past AS (PARTITION BY kind, entity ORDER BY game_day)

-- A wind no anemometer of an airport measures is taken for not measured.
SELECT year, month, day, hour, temp, dewp, humid, wind_dir,
       CASE WHEN wind_speed <= 250 THEN wind_speed END AS wind_speed,
       wind_gust, precip, pressure, visib, origin, time_hour
FROM quarantined

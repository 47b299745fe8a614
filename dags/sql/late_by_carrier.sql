-- How late each carrier was, and how late the model expected it to be: plain SQL upon published views.
CREATE TABLE IF NOT EXISTS late_by_carrier (
  carrier text PRIMARY KEY,
  flights bigint,
  late_share double precision,
  expected_share double precision
);
TRUNCATE late_by_carrier;
INSERT INTO late_by_carrier (carrier, flights, late_share, expected_share)
SELECT f.carrier, count(*), avg((f.arr_delay > 15)::integer), avg(p.score)
FROM flights f
JOIN flight_predictions p USING (year, month, day, carrier, flight, origin, dest, sched_dep_time)
WHERE p.model_role = 'champion'
GROUP BY f.carrier

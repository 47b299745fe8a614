-- What is known when a flight leaves the gate, and whether it arrived late.
-- flights, weather, planes and airports stand for exact versions.
SELECT f.year, f.month, f.day, f.carrier, f.flight, f.origin, f.dest, f.sched_dep_time,
       f.time_hour,
       f.dep_delay,
       f.distance,
       f.hour,
       extract(isodow FROM make_date(f.year, f.month, f.day))::integer AS dow,
       w.visib,
       w.precip,
       p.seats,
       f.year - p.year AS plane_age,
       a.lat AS dest_lat,
       (f.arr_delay > 15)::integer AS late
FROM flights f
LEFT JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
LEFT JOIN planes p ON p.tailnum = f.tailnum
LEFT JOIN airports a ON a.faa = f.dest
WHERE f.dep_time IS NOT NULL
  AND to_char(make_date(f.year, f.month, f.day), 'YYYY-MM') = %(partition_key)s

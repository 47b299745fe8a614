-- Delays of each day and airport; flights stands for an exact version.
SELECT make_date(f.year, f.month, f.day) AS day,
       f.origin,
       count(*) AS flights,
       avg(f.dep_delay)::double precision AS dep_delay,
       avg((f.arr_delay > 15)::integer)::double precision AS late_share
FROM flights f
WHERE to_char(make_date(f.year, f.month, f.day), 'YYYY-MM') = %(partition_key)s
GROUP BY 1, 2

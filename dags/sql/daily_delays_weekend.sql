-- A proposal: the same, and whether the day is one of a weekend.
SELECT make_date(f.year, f.month, f.day) AS day,
       f.origin,
       count(*) AS flights,
       avg(f.dep_delay)::double precision AS dep_delay,
       avg((f.arr_delay > 15)::integer)::double precision AS late_share,
       extract(isodow FROM make_date(f.year, f.month, f.day)) > 5 AS weekend
FROM flights f
WHERE to_char(make_date(f.year, f.month, f.day), 'YYYY-MM') = %(partition_key)s
GROUP BY 1, 2

-- SPDX-License-Identifier: GPL-2.0-or-later
-- Many searches through an index, scans with patterns, and windows.
SELECT count(*), sum(length(name)) FROM customer WHERE name LIKE '%99%' OR name GLOB '*7 of ?7*';
SELECT sum((SELECT count(*) FROM sale WHERE customer = c.id AND amount > 4)) FROM customer AS c;
SELECT day, count(DISTINCT customer), sum(amount) FROM sale GROUP BY day ORDER BY 3 DESC LIMIT 20;
SELECT sum(r) FROM (SELECT rank() OVER (PARTITION BY city ORDER BY name) AS r FROM customer);

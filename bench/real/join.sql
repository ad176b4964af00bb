-- SPDX-License-Identifier: GPL-2.0-or-later
SELECT city, count(*), sum(amount * price) FROM sale JOIN customer ON customer.id = sale.customer
    JOIN product ON product.id = sale.product GROUP BY city ORDER BY 3 DESC LIMIT 30;
SELECT p.name, q.name, count(*) AS n FROM sale AS a JOIN sale AS b ON a.customer = b.customer
    AND a.id < b.id JOIN product AS p ON p.id = a.product JOIN product AS q ON q.id = b.product
    WHERE a.customer < 3000 GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 20;

-- SPDX-License-Identifier: GPL-2.0-or-later
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);
CREATE INDEX item_name ON item (name);
CREATE INDEX item_stock ON item (stock, price);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO item SELECT i, printf('item-%08x', (i * 2654435761) % 4294967296), (i * 37 % 1000) / 8.0,
    i * 7919 % 1000 FROM n;
BEGIN;
UPDATE item SET stock = stock + 1, price = price * 1.5 WHERE id % 3 = 0;
DELETE FROM item WHERE name BETWEEN 'item-4' AND 'item-5';
COMMIT;
SELECT count(*), sum(stock), round(sum(price), 3), min(name), max(name) FROM item;

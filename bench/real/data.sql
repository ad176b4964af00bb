-- SPDX-License-Identifier: GPL-2.0-or-later
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city INTEGER);
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INTEGER, product INTEGER, amount INTEGER, day INTEGER);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO customer SELECT i, printf('customer %d of %d', i * 7919 % 20011, i), i * 31 % 97 FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO product SELECT i, printf('product %x', i * 40503 % 65536), i * 61 % 500 + 1 FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
INSERT INTO sale SELECT i, i * 104729 % 20000 + 1, i * 15485863 % 1000 + 1, i % 9 + 1,
    i * 7 % 365 FROM n;
CREATE INDEX sale_customer ON sale (customer);
CREATE INDEX customer_name ON customer (name);

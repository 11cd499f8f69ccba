-- Once, as a superuser. The owner migrates (DATABASE_URL of migrate and grants alone); programs run.
-- Afterwards, as the owner: manage.py migrate, then manage.py grants programs.
CREATE ROLE owner LOGIN PASSWORD 'replace-this';
CREATE ROLE programs LOGIN PASSWORD 'replace-this-too';
CREATE DATABASE platform OWNER owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE platform FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE platform TO programs;
ALTER DATABASE platform SET timezone TO 'UTC';

#!/bin/sh
# Starts the server of chart 1.0.0's volume: its settings are in the image, and the data folder holds none.
set -eu

data=/bitnami/postgresql/data
settings=/opt/bitnami/postgresql/conf
sockets=/tmp
user=${POSTGRESQL_USERNAME:-postgres}
database=${POSTGRESQL_DATABASE:-postgres}

set -- postgres -D "$data" -c config_file="$settings/postgresql.conf" "$@"

if [ ! -s "$data/PG_VERSION" ]; then
    if [ -z "${POSTGRESQL_PASSWORD:-}" ]; then
        echo >&2 'error: `POSTGRESQL_PASSWORD` is empty'
        exit 1
    fi
    umask 077
    mkdir -p "$data"
    initdb --pgdata="$data" --username=postgres --encoding=UTF8 --no-locale --auth=trust

    "$@" -c hba_file="$data/pg_hba.conf" -c listen_addresses= &
    server=$!
    until pg_isready --quiet --host="$sockets" --username=postgres; do
        kill -0 "$server"
        sleep 0.1
    done
    ask() {
        psql --quiet --no-psqlrc --host="$sockets" --username=postgres --set=ON_ERROR_STOP=1 \
            --set=user="$user" --set=database="$database" "$@"
    }
    if [ "$database" != postgres ]; then
        ask --dbname=postgres <<'SQL'
create database :"database";
SQL
    fi
    # The password comes from the environment: it is in no list of processes. No statement is logged either.
    if [ "$user" = postgres ]; then
        ask --dbname=postgres <<'SQL'
\set password `printf %s "$POSTGRESQL_PASSWORD"`
alter role postgres with password :'password';
SQL
    else
        ask --dbname="$database" <<'SQL'
\set password `printf %s "$POSTGRESQL_PASSWORD"`
create role :"user" with login createdb password :'password';
grant all privileges on database :"database" to :"user";
alter database :"database" owner to :"user";
alter schema public owner to :"user";
SQL
    fi
    kill -INT "$server"
    wait "$server"
    rm "$data/postgresql.conf" "$data/pg_hba.conf"
fi

# A volume that Kubernetes gives to a group is open to it, and the server refuses that.
chmod 700 "$data" 2>/dev/null || :

exec "$@" -c hba_file="$settings/pg_hba.conf"

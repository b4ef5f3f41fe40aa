#!/bin/sh
# Starts the server as the official image does: it creates the database first, where the volume holds none.
set -eu

case "${1:-}" in
'' | -*) set -- postgres "$@" ;;
esac
# Another program of the image.
[ "$1" = postgres ] || exec "$@"

sockets=/var/run/postgresql
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo >&2 'error: `POSTGRES_PASSWORD` is empty'
        exit 1
    fi
    umask 077
    mkdir -p "$PGDATA"
    # Through a pipe, from a builtin of the shell: the password is in no file and no list of processes.
    printf '%s\n' "$POSTGRES_PASSWORD" | initdb --pgdata="$PGDATA" --username="$user" --pwfile=/dev/stdin \
        --encoding=UTF8 --no-locale --auth-local=trust --auth-host=scram-sha-256 \
        -c listen_addresses='*' -c unix_socket_directories="$sockets"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"

    # Without TCP, so that no probe succeeds yet.
    "$@" -c listen_addresses= -c unix_socket_directories="$sockets" &
    server=$!
    until pg_isready --quiet --host="$sockets" --username="$user"; do
        kill -0 "$server"
        sleep 0.1
    done
    if [ "$database" != postgres ]; then
        psql --quiet --no-psqlrc --host="$sockets" --username="$user" --dbname=postgres \
            --set=ON_ERROR_STOP=1 --set=database="$database" <<'SQL'
create database :"database";
SQL
    fi
    kill -INT "$server"
    wait "$server"
fi

# A volume that Kubernetes gives to a group is open to it, and the server refuses that.
chmod 700 "$PGDATA" 2>/dev/null || :

exec "$@"

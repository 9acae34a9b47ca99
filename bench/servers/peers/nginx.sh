#!/bin/sh
# nginx at the port that is told: one worker that answers by itself and writes no log.
cd "$(dirname "$0")" || exit
for each in client_body proxy fastcgi uwsgi scgi; do temporary="$temporary ${each}_temp_path .;"; done
cat >nginx.conf <<CONF
daemon off; master_process off; error_log stderr; pid nginx.pid; events { worker_connections 20000; }
http { access_log off; keepalive_requests 1000000000; $temporary default_type "text/plain;charset=UTF-8";
server { listen 127.0.0.1:$1; location / { return 200 "Hello, world!"; } } }
CONF
exec nginx -e stderr -c "$PWD/nginx.conf" -p "$PWD"

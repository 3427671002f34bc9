#!/bin/sh
# Ray starts this as its HAProxy, once for each change of replicas: it adds our rules to the configuration that Ray has
# just written, puts our answers in the place of its 404 and 50x, then becomes the real one. Ray has HAProxy's metrics and
# statistics listen on every address: the metrics get a socket in a folder of the user, the statistics are left out. On a
# connection to a replica that was used before, HAProxy would keep from the client that the replica ended: each is used once.
# Arguments: -db -f CONFIGURATION …
set -eu
grep -q hm_shed "$3" || sed -i \
    -e "s|^global\$|global\n    lua-load $HM_HAPROXY_LUA|" \
    -e "/^frontend prometheus/,/^frontend http_frontend/s|^\( *bind\) .*|\1 unix@$HM_HAPROXY_METRICS mode 600|" \
    -e "s|^\( *\)http-reuse .*|\1http-reuse never\n\1option http-server-close|" \
    -e "/^listen stats/,\$d" \
    -e "/^frontend http_frontend/r $HM_HAPROXY_RULES" \
    -e "/^backend default_backend/,/^backend /{/http-request return status 404/{r $HM_HAPROXY_NO_ROUTE
        d}}" \
    -e "s|^\( *errorfile 50[234]\) .*|\1 $HM_HAPROXY_ERROR|" "$3"
# It ends with the process of Ray that started it, however that one ends: it would keep the page's port.
if setpriv --pdeathsig KILL true 2>/dev/null; then
    exec setpriv --pdeathsig KILL "$HM_HAPROXY" "$@"
fi
exec "$HM_HAPROXY" "$@"

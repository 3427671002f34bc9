#!/bin/sh
# Ray starts this as its HAProxy, once for each change of replicas: it adds our rules to the configuration that Ray has
# just written, puts our answers in the place of its 404 and 50x, then becomes the real one.
# Arguments: -db -f CONFIGURATION …
set -eu
grep -q hm_shed "$3" || sed -i \
    -e "/^frontend http_frontend/r $HM_HAPROXY_RULES" \
    -e "/^backend default_backend/,/^backend /{/http-request return status 404/{r $HM_HAPROXY_NO_ROUTE
        d}}" \
    -e "s|^\( *errorfile 50[234]\) .*|\1 $HM_HAPROXY_ERROR|" "$3"
exec "$HM_HAPROXY" "$@"

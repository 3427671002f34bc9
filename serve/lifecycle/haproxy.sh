#!/bin/sh
# Ray starts this as its HAProxy, once for each change of replicas: it adds our rules to the configuration that Ray has
# just written, then becomes the real one. Arguments: -db -f CONFIGURATION …
set -eu
grep -q hm_shed "$3" || sed -i \
    -e "/^frontend http_frontend/r $HM_HAPROXY_RULES" \
    -e "s|^\( *errorfile 50[234]\) .*|\1 $HM_HAPROXY_ERROR|" "$3"
exec "$HM_HAPROXY" "$@"

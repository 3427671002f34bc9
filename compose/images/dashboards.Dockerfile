# Prometheus and Grafana with what compose/dashboards/ says they ask and show.
FROM prom/prometheus:v3.5.0 AS prometheus
COPY --chmod=444 compose/dashboards/prometheus.yml compose/dashboards/rules.yml /etc/prometheus/

FROM grafana/grafana:12.1.0 AS grafana
COPY --chmod=444 compose/dashboards/datasource.yaml /etc/grafana/provisioning/datasources/
COPY --chmod=444 compose/dashboards/provider.yaml /etc/grafana/provisioning/dashboards/
COPY --chmod=444 compose/dashboards/hm-mlflow.json /etc/grafana/dashboards/

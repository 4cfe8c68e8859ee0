# syntax=docker/dockerfile:1
# The live dashboard of examples/ for the Compose file: its page behind a small web server, and the backend that feeds it. Built from the root of
# the repository, because the page is made from the client's source.

FROM node:22-bookworm-slim AS built
WORKDIR /build/examples/live-dashboard
COPY examples/live-dashboard/package.json examples/live-dashboard/package-lock.json examples/live-dashboard/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY client/src /build/client/src
COPY client/tsconfig.json /build/client/tsconfig.json
COPY examples/live-dashboard .
RUN npm run build

FROM nginxinc/nginx-unprivileged:1.28-alpine AS page
COPY deploy/live-dashboard.nginx.conf /etc/nginx/conf.d/default.conf
COPY --from=built /build/examples/live-dashboard/dist /usr/share/nginx/html

FROM node:22-bookworm-slim AS backend
WORKDIR /app
COPY examples/live-dashboard/package.json examples/live-dashboard/package-lock.json examples/live-dashboard/.npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY examples/live-dashboard/publisher publisher
USER node
ENTRYPOINT ["node", "publisher/main.js"]

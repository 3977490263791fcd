# The engine, for any role: docker run freshet up --roles serve --config …
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts ./scripts
# As everywhere: exactly what the lockfile says, and no package's own scripts.
RUN node -e "import('./scripts/install.mjs').then(({ installIfNeeded }) => installIfNeeded(process.cwd()))"
COPY . .
RUN node scripts/run.mjs build && npm prune --omit=dev --no-audit --no-fund

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["node", "--max-semi-space-size=128", "--heap-growing-percent=300", "--v8-pool-size=1", "dist/jobs/cli.js"]
CMD ["up", "--data", "/data"]

/**
 * `npm run dashboards`: writes the dashboards of deploy/grafana anew. A test holds the files to it, each query to metrics and labels
 * that exist, and each metric to a panel.
 */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fleet } from './dashboards/fleet.ts'
import { type Dashboard, renderDashboard } from './dashboards/grafana.ts'
import { node } from './dashboards/node.ts'
import { prober } from './dashboards/prober.ts'
import { service } from './dashboards/service.ts'

/** Where the files are. */
export const FOLDER = resolve(import.meta.dirname, '../deploy/grafana')

/** The dashboards, by the names of their files. */
export const DASHBOARDS: Readonly<Record<string, Dashboard>> = {
  'meridian-fleet.json': fleet,
  'meridian-service.json': service,
  'meridian-node.json': node,
  'meridian-prober.json': prober,
}

/** A file as it should be. */
export const dashboardText = (dashboard: Dashboard): string =>
  `${JSON.stringify(renderDashboard(dashboard, Object.values(DASHBOARDS)), null, 2)}\n`

if (process.argv[1] === import.meta.filename)
  for (const [file, dashboard] of Object.entries(DASHBOARDS))
    writeFileSync(join(FOLDER, file), dashboardText(dashboard))

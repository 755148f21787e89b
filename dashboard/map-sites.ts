/** The sites as maps show them. */
import type { Board } from '../src/api/board.ts'
import type { MapSite } from './map.tsx'

export function mapSitesOf({ sites, summary }: Board): MapSite[] {
  const states = new Map(summary.sites.map(({ site, wounds }) => [site, wounds[0]?.wound ?? ('up' as const)]))
  return sites.map((site, colour) => ({ ...site, colour, state: states.get(site.site) ?? 'up' }))
}

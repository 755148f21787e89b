/** A map of the world: countries in colours, sites with their states, a client, and great circles between them. */
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { SitePlace } from '../src/api/board.ts'
import type { Wound } from '../src/health/wound.ts'
import type { Point } from './geo.ts'
import { HEIGHT, WIDTH } from './size.ts'
import { SIGNS, WOUND_WORDS } from './words.ts'

type Geo = typeof import('./geo.ts')

/** A site on a map. */
export interface MapSite extends SitePlace {
  readonly state: Wound | 'up'
  /** Its number among all sites: its colour. */
  readonly colour: number
}

/** A great circle from the client to a site. */
export interface Arc {
  readonly site: string
  readonly chosen: boolean
}

/** How many colours sites have; with more, some share one. */
export const COLOURS = 12

export function WorldMap(props: {
  /** What it shows, for those who do not see it. */
  readonly label: string
  readonly sites: readonly MapSite[]
  /** By country: the colour of its site, how much of the country is that site's (0–1), and words. */
  readonly countries?: ReadonlyMap<string, { readonly colour: number; readonly share: number; readonly words: string }>
  readonly onCountry?: (code: string | undefined) => void
  readonly client?: Point | undefined
  readonly arcs?: readonly Arc[]
  readonly children?: ComponentChildren
}) {
  const { label, sites, countries, onCountry, client, arcs = [] } = props
  const [geo, setGeo] = useState<Geo>()
  useEffect(() => void import('./geo.ts').then(setGeo), [])
  if (geo === undefined) return <div class="map" style={{ aspectRatio: `${WIDTH} / ${HEIGHT}` }} />
  const placed = sites.flatMap((site) => {
    const { latitude, longitude } = site
    return latitude === null || longitude === null ? [] : [{ site, point: { latitude, longitude } }]
  })
  const at = client && geo.place(client)
  return (
    <svg
      class="map"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={label}
      onMouseLeave={() => onCountry?.(undefined)}
    >
      <path class="sea" d={geo.sphere} />
      <path class="graticule" d={geo.graticule} />
      <g>
        {geo.shapes.map(({ code, path }, i) => {
          const own = countries?.get(code)
          return (
            <path
              key={`${code}${i}`}
              class="country"
              data-country={code}
              data-colour={own === undefined ? undefined : own.colour % COLOURS}
              style={own === undefined ? undefined : { fillOpacity: 0.3 + 0.6 * own.share }}
              d={path}
              onMouseEnter={() => onCountry?.(code === '' ? undefined : code)}
            >
              {own !== undefined && <title>{own.words}</title>}
            </path>
          )
        })}
      </g>
      {client !== undefined &&
        arcs.map(({ site, chosen }) => {
          const to = placed.find((one) => one.site.site === site)
          return (
            to && (
              <path
                key={site}
                class="arc"
                data-site={site}
                data-chosen={chosen || undefined}
                d={geo.greatCircle(client, to.point)}
              />
            )
          )
        })}
      {placed.map(({ site: { site, state, colour }, point }) => {
        const [x, y] = geo.place(point)
        return (
          <g key={site} class="site" data-site={site} data-state={state} transform={`translate(${x} ${y})`}>
            <title>{`${site}: ${WOUND_WORDS[state]}`}</title>
            <circle r="5" data-colour={colour % COLOURS} />
            <text x="8" y="4">
              {state === 'up' ? site : `${SIGNS[state]} ${site}`}
            </text>
          </g>
        )
      })}
      {at !== undefined && (
        <g class="client" transform={`translate(${at[0]} ${at[1]})`}>
          <title>the client</title>
          <path d="M0 -6 L6 0 L0 6 L-6 0 Z" />
        </g>
      )}
    </svg>
  )
}

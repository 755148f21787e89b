/** The world: each country in the colour of the site that most of its clients are sent to now, and the sites' states. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { WorldView } from '../src/api/world.ts'
import type { Ask, Seen } from './api.ts'
import { mapSitesOf } from './map-sites.ts'
import { COLOURS, WorldMap } from './map.tsx'
import { Section, Sign } from './parts.tsx'
import { percent } from './words.ts'

const countryNames = new Intl.DisplayNames(['en'], { type: 'region' })

/** `France`; of an unknown code the code. */
function countryName(code: string): string {
  try {
    return countryNames.of(code) ?? code
  } catch {
    return code === '' ? 'unknown' : code
  }
}

type Country = WorldView['countries'][number]

const sharesInWords = ({ sites }: Pick<Country, 'sites'>): string =>
  sites
    .filter(({ share }) => share >= 0.005)
    .map(({ site, share }) => `${site} ${percent(100 * share)}`)
    .join(', ')

export function World({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { board } = seen
  const services = board.services.map(({ service }) => service)
  const [asked, setAsked] = useState<{ service: string | undefined; clients: 'ipv4' | 'ipv6' }>({
    service: undefined,
    clients: 'ipv4',
  })
  const service = asked.service !== undefined && services.includes(asked.service) ? asked.service : services[0]
  const [view, setView] = useState<WorldView | string>()
  const [over, setOver] = useState<string>()
  const box = useRef<HTMLDivElement>(null)
  const isSeen = useSeen(box)
  // who goes where changes with the states and shares of this service's sites, and with the zones
  const mark = useMemo(() => {
    const row = board.services.find((one) => one.service === service)
    const states = row?.sites.map(({ site, wound, share, well }) => [site, wound, share, well])
    return JSON.stringify([states, board.summary.world?.generation])
  }, [board, service])
  useEffect(() => {
    if (!isSeen || service === undefined) return undefined
    let stale = false
    ask<WorldView>(`api/world?${new URLSearchParams({ service, clients: asked.clients })}`).then(
      (world) => !stale && setView(world),
      (error: unknown) => !stale && setView(error instanceof Error ? error.message : String(error)),
    )
    return () => {
      stale = true
    }
  }, [isSeen, service, asked.clients, mark])

  const sites = mapSitesOf(board).filter(({ site }) =>
    board.services.find((one) => one.service === service)?.sites.some((own) => own.site === site),
  )
  const colourOf = new Map(sites.map(({ site, colour }) => [site, colour]))
  const shown = typeof view === 'object' ? view : undefined
  const countries = useMemo(
    () =>
      new Map(
        shown?.countries.flatMap((country) => {
          const [first] = country.sites
          const colour = first && colourOf.get(first.site)
          if (first === undefined || colour === undefined) return []
          const words = `${countryName(country.country)}: ${sharesInWords(country)}`
          return [[country.country, { colour, share: first.share, words }] as const]
        }),
      ),
    [shown, sites.length],
  )
  const country = shown?.countries.find((one) => one.country === over)
  return (
    <Section
      id="world"
      title="Where clients go"
      extra={
        <div class="filters">
          <label>
            service{' '}
            <select value={service} onChange={(event) => setAsked({ ...asked, service: event.currentTarget.value })}>
              {services.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label>
            counted in{' '}
            <select
              value={asked.clients}
              onChange={(event) =>
                setAsked({ ...asked, clients: event.currentTarget.value === 'ipv6' ? 'ipv6' : 'ipv4' })
              }
            >
              <option value="ipv4">IPv4 addresses</option>
              <option value="ipv6">IPv6 networks</option>
            </select>
          </label>
        </div>
      }
    >
      <div class="world" ref={box}>
        <WorldMap
          label={`Countries by the site that their clients get of ${service ?? 'no service'}: ${shown === undefined ? '' : sharesInWords(shown)}`}
          sites={sites}
          countries={countries}
          onCountry={setOver}
        />
        <div>
          {typeof view === 'string' && (
            <p class="bad none" role="alert">
              {view}
            </p>
          )}
          {view === undefined && <p class="none">Counting the clients of each country …</p>}
          <ul class="legend">
            {sites.map(({ site, state, colour }) => (
              <li key={site} data-state={state}>
                <span class="swatch" data-colour={colour % COLOURS} /> <Sign state={state} />{' '}
                <span class="name">{site}</span>{' '}
                <span class="number dim">
                  {percent(100 * (shown?.sites.find((one) => one.site === site)?.share ?? 0))}
                </span>
              </li>
            ))}
          </ul>
          <p class="over" aria-hidden="true">
            {country === undefined ? (
              <span class="dim">Point at a country.</span>
            ) : (
              <>
                <strong>{countryName(country.country)}</strong>, {percent(100 * country.clients)} of all clients:{' '}
                {sharesInWords(country)}
              </>
            )}
          </p>
          {shown !== undefined && (
            <div class="scroll" tabIndex={0} role="region" aria-label="Countries">
              <table>
                <thead>
                  <tr>
                    <th scope="col">country</th>
                    <th scope="col">of all clients</th>
                    <th scope="col">goes to</th>
                  </tr>
                </thead>
                <tbody>
                  {shown.countries.map((one) => (
                    <tr key={`${one.continent}${one.country}`} data-country={one.country}>
                      <th scope="row">{countryName(one.country)}</th>
                      <td class="number">{(100 * one.clients).toFixed(1)} %</td>
                      <td>{sharesInWords(one)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </div>
      </div>
    </Section>
  )
}

/** Whether an element has been in sight: what nobody has looked at is not asked for. */
function useSeen(element: { readonly current: Element | null }): boolean {
  const [seen, setSeen] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) setSeen(true)
    })
    observer.observe(element.current!)
    return () => observer.disconnect()
  }, [])
  return seen
}

/** Why a client gets its answer: drawn as a map with the great circles to the sites, and the walk over them in words. */
import { useState } from 'preact/hooks'
import type { ExplainResponse } from '../src/api/explained.ts'
import type { Ttl } from '../src/explain/explain.ts'
import type { ClientPlace, SiteExplanation, Steering, Step } from '../src/explain/steering.ts'
import { type Ask, Refused, type Seen } from './api.ts'
import { mapSitesOf } from './map-sites.ts'
import { WorldMap } from './map.tsx'
import { Section } from './parts.tsx'
import { percent } from './words.ts'

const TYPES = ['A', 'AAAA', 'CNAME', 'HTTPS', 'MX', 'NS', 'SOA', 'TXT', 'ANY']

export function Explain({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const [question, setQuestion] = useState({ name: '', client: '', type: 'A', drain: '' })
  const [answer, setAnswer] = useState<ExplainResponse | string>()
  const set = (more: Partial<typeof question>): void => setQuestion({ ...question, ...more })
  const explain = async (): Promise<void> => {
    const { name, client, type, drain } = question
    const query = new URLSearchParams({ name, client, type })
    for (const pattern of drain.split(/[\s,]+/).filter((one) => one !== '')) query.append('drain', pattern)
    try {
      setAnswer(await ask<ExplainResponse>(`api/explain?${query}`))
    } catch (error) {
      const hint = error instanceof Refused && error.hint !== '' ? `. ${error.hint}` : ''
      setAnswer(`${error instanceof Error ? error.message : String(error)}${hint}`)
    }
  }
  return (
    <Section
      id="explain"
      title="Why this answer"
      extra={
        <p class="dim">
          as <code>meridian explain</code>
        </p>
      }
    >
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          void explain()
        }}
      >
        <label class="field">
          Name
          <input
            required
            value={question.name}
            autocomplete="off"
            spellcheck={false}
            placeholder="www.example.com"
            onInput={(event) => set({ name: event.currentTarget.value.trim() })}
          />
        </label>
        <label class="field">
          Client’s address or network
          <input
            required
            value={question.client}
            autocomplete="off"
            spellcheck={false}
            placeholder="192.0.2.1"
            onInput={(event) => set({ client: event.currentTarget.value.trim() })}
          />
        </label>
        <label class="field">
          Type
          <select value={question.type} onChange={(event) => set({ type: event.currentTarget.value })}>
            {TYPES.map((type) => (
              <option key={type}>{type}</option>
            ))}
          </select>
        </label>
        <label class="field">
          If these were drained
          <input
            value={question.drain}
            list="patterns"
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => set({ drain: event.currentTarget.value })}
          />
        </label>
        <div class="buttons">
          <button type="submit" class="main">
            Explain
          </button>
        </div>
      </form>
      <div aria-live="polite">
        {typeof answer === 'string' && (
          <p class="bad none" role="alert">
            {answer}
          </p>
        )}
        {typeof answer === 'object' && <Answer seen={seen} answer={answer} />}
      </div>
    </Section>
  )
}

function Answer({ seen, answer }: { readonly seen: Seen; readonly answer: ExplainResponse }) {
  const { name, type, client, rcode, outcome, answer: records, steering, ttl, scope } = answer
  const place = steering?.place
  const { latitude = null, longitude = null } = place ?? {}
  const located = latitude === null || longitude === null ? undefined : { latitude, longitude }
  const own = new Set(steering?.sites.map(({ site }) => site))
  const sites = mapSitesOf(seen.board).filter(({ site }) => own.has(site))
  return (
    <div class="answer">
      {steering !== undefined && (
        <WorldMap
          label={`${client} is sent to ${steering.pick ?? 'no site'}`}
          sites={sites}
          client={located}
          arcs={steering.sites
            .map(({ site }) => ({ site, chosen: site === steering.pick }))
            .toSorted((a, b) => Number(a.chosen) - Number(b.chosen))}
        />
      )}
      <div class="words">
        <p class="result">
          <span class="name">{name}</span> {type} for {client}:{' '}
          {steering?.pick === undefined || steering.pick === null ? (
            <span>
              {rcode}, {outcome}
            </span>
          ) : (
            <strong class="pick">{steering.pick}</strong>
          )}
        </p>
        <ul class="mono records">
          {records.map((record) => (
            <li key={record}>{record}</li>
          ))}
        </ul>
        <dl>
          {steering !== undefined && <SteeringWords steering={steering} />}
          {ttl !== null && (
            <>
              <dt>TTL</dt>
              <dd>{ttlInWords(ttl)}</dd>
            </>
          )}
          {scope !== null && (
            <>
              <dt>scope</dt>
              <dd>
                /{scope}
                {steering?.scope ? `: caches may use it for ${steering.scope.caches}` : ''}
              </dd>
            </>
          )}
        </dl>
        {steering !== undefined && <SiteTable steering={steering} />}
      </div>
    </div>
  )
}

function SteeringWords({ steering }: { readonly steering: Steering }) {
  const { service, written, place, rule, matched, order, fence, pickBy, walk, pick, stage, lastResort } = steering
  return (
    <>
      <dt>place</dt>
      <dd>{placeInWords(place)}</dd>
      <dt>service</dt>
      <dd>
        <span class="name">{service}</span> <span class="dim">{written}</span>
      </dd>
      <dt>rule</dt>
      <dd>
        {rule === null
          ? `none: the service’s own order (${order})`
          : `${rule}${matched === null ? '' : `, by its ${matched.by} ${matched.text}`}`}
        {fence && '; only these sites, no others'}
      </dd>
      <dt>walk</dt>
      <dd>
        <ol class="walk">
          {stepsOf(walk, pick).map(({ stage: name, site, verdict, chosen }) => (
            <li key={`${name} ${site}`} data-chosen={chosen || undefined}>
              <span class="name">{site}</span> {verdict} <span class="dim">at the stage “{name}”</span>
            </li>
          ))}
        </ol>
      </dd>
      <dt>pick</dt>
      <dd>
        {pick === null ? 'no site' : `${pick}, at the stage “${stage ?? ''}”, by ${pickBy}`}
        {lastResort && <span class="bad"> LAST RESORT: nothing is usable</span>}
      </dd>
    </>
  )
}

/** Each site at the last stage that looked at it, up to the one that is named. */
function stepsOf(walk: readonly Step[], pick: string | null) {
  const last = new Map<string, Step>()
  for (const step of walk) {
    last.delete(step.site)
    last.set(step.site, step)
  }
  return [...last.values()].map((step) => ({ ...step, chosen: step.site === pick }))
}

function placeInWords({ of, continent, country, subdivision, latitude, longitude, prefix }: ClientPlace): string {
  if (of === 'nobody') return 'unknown: sites are in the order of the file'
  const codes = [continent, country, subdivision].filter((code) => code !== '').join('-') || 'unknown'
  const whose = of === 'client' ? '' : of === 'resolver' ? ', of the resolver' : ', so the place of node.site is used'
  const at = latitude === null || longitude === null ? '' : ` at ${latitude.toFixed(2)}, ${longitude.toFixed(2)}`
  return `${codes}${at}${whose}, as all of ${prefix}`
}

function ttlInWords({ seconds, why, unrest }: Ttl): string {
  const causes = unrest.map(({ member, why: cause }) => `${member}: ${cause}`)
  return [`${seconds} s: ${why}`, ...causes.slice(0, 3)].join('; ')
}

const kilometres = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

function SiteTable({ steering: { sites, pick } }: { readonly steering: Steering }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Sites in the client’s order">
      <table>
        <thead>
          <tr>
            <th scope="col">order</th>
            <th scope="col">site</th>
            <th scope="col">distance</th>
            <th scope="col">members, why</th>
          </tr>
        </thead>
        <tbody>
          {sites.map((site) => (
            <tr key={site.site} data-chosen={site.site === pick || undefined}>
              <td class="number">{site.group}</td>
              <th scope="row" class="name">
                {site.site}
              </th>
              <td class="number">{distanceInWords(site)}</td>
              <td class="wrap">
                {statesInWords(site)}{' '}
                <span class="dim">{site.vips.find(({ health }) => health !== null)?.health?.why ?? ''}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function distanceInWords({ distanceKm, bias, biasedKm }: SiteExplanation): string {
  if (distanceKm === null) return '–'
  const biased = bias === 0 || biasedKm === null ? '' : ` (as ${kilometres.format(biasedKm)}, bias ${percent(bias)})`
  return `${kilometres.format(distanceKm)} km${biased}`
}

function statesInWords({ vips }: SiteExplanation): string {
  const states = Map.groupBy(vips, ({ state, assumed }) => (assumed === null ? state : `taken for ${assumed}`))
  return [...states].map(([state, those]) => `${those.length} ${state}`).join(', ')
}

/** Route 53's health checks → checks of services. */
import { formatAddress, parseAddress } from '../../dns/address.ts'
import type { Notes, Place } from '../notes.ts'
import type { YamlMapping } from '../yaml.ts'
import type { Json } from './json.ts'

/** What a health check becomes. */
export interface Checked {
  /** undefined: nothing is checked. */
  readonly check: YamlMapping | undefined
  /** The address that is probed, if it is written. */
  readonly address: string | undefined
}

const UNCHECKED: Checked = { check: undefined, address: undefined }

/** Health checks by id. */
export class HealthChecks {
  readonly #notes: Notes
  readonly #configs = new Map<string, Json>()

  constructor(notes: Notes) {
    this.#notes = notes
  }

  add(check: Json): void {
    const config = check.get('HealthCheckConfig')
    if (config !== undefined) this.#configs.set(check.text('Id') ?? '', config)
  }

  /** The check of a record set. What cannot be taken over is reported at the health check. */
  of(id: string, at: Place): Checked {
    const config = this.#configs.get(id)
    if (config === undefined) {
      const hint = 'put the output of list-health-checks beside the record sets, in one folder'
      this.#notes.warn(at, `health check ${id} is left out: it is not in the input; ${hint}`)
      return UNCHECKED
    }
    const type = config.text('Type') ?? ''
    const name = `health check ${id}`
    if (config.isTrue('Disabled')) return UNCHECKED // it counts as healthy
    if (config.isTrue('Inverted')) {
      this.#notes.warn(config.at, `${name} is left out: Meridian's checks are not inverted`)
      return UNCHECKED
    }
    const interval = config.number('RequestInterval') ?? 30
    const count = config.number('FailureThreshold') ?? 3
    const timing = { interval: `${interval}s`, fall: count, rise: count }
    const port = config.number('Port')
    const given = parseAddress(config.text('IPAddress') ?? '')
    const address = given && formatAddress(given)
    if (type === 'TCP') return { check: { type: 'tcp', port: port ?? 0, ...timing, timeout: '9s' }, address }
    if (!/^HTTPS?(?:_STR_MATCH)?$/.test(type)) {
      this.#notes.warn(config.at, `${name} is left out: Meridian has no check of type ${type}`)
      return UNCHECKED
    }
    const isTls = type.startsWith('HTTPS')
    const path = config.text('ResourcePath') ?? '/'
    const host = config.text('FullyQualifiedDomainName')
    const body = type.endsWith('_STR_MATCH') ? config.text('SearchString') : undefined
    const check = {
      type: isTls ? 'https' : 'http',
      ...(port !== undefined && port !== (isTls ? 443 : 80) && { port }),
      ...(path !== '/' && path !== '' && { path: path.startsWith('/') ? path : `/${path}` }),
      ...(host !== undefined && { host }),
      expect: { status: ['200-399'], ...(body !== undefined && { body }) },
      ...(isTls && { verify: false }),
      ...timing,
      timeout: '6s',
    }
    return { check, address }
  }
}

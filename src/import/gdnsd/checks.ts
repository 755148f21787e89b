/** gdnsd's service_types → named checks of defaults.yaml. */
import type { FolderDraft } from '../folder.ts'
import type { Notes } from '../notes.ts'
import type { YamlMapping } from '../yaml.ts'
import { find, textsOf, type VscfHash } from './vscf.ts'

/** What monitors the addresses of a resource. */
export interface Monitoring {
  /** Names of checks; none: nothing is checked. */
  readonly checks: readonly string[]
  /** They are never up. */
  readonly isDown: boolean
}

export const UNWATCHED: Monitoring = { checks: [], isDown: false }

/** The most failures and passes that Meridian counts. */
const MOST_PROBES = 100

/** Makes the checks of service types when resources name them. */
export class Checks {
  readonly #types: VscfHash | undefined
  readonly #draft: FolderDraft
  readonly #notes: Notes
  readonly #made = new Map<string, Monitoring>()

  constructor(types: VscfHash | undefined, draft: FolderDraft, notes: Notes) {
    this.#types = types
    this.#draft = draft
    this.#notes = notes
  }

  /** The monitoring by several service types: all must be up. */
  of(names: readonly string[], at: { readonly file: string; readonly line: number }): Monitoring {
    const parts = names.map((name) => {
      const known = this.#made.get(name)
      if (known !== undefined) return known
      const made = this.#make(name, at)
      this.#made.set(name, made)
      return made
    })
    return { checks: [...new Set(parts.flatMap(({ checks }) => checks))], isDown: parts.some(({ isDown }) => isDown) }
  }

  #make(name: string, at: { readonly file: string; readonly line: number }): Monitoring {
    const entry = this.#types?.entries.get(name)
    if (entry === undefined || entry.value.kind !== 'hash') {
      if (name === 'down') return { checks: [], isDown: true }
      if (name !== 'up' && name !== 'default') this.#notes.error(at, `there is no service type “${name}”`)
      return UNWATCHED
    }
    const type = entry.value
    const number = (key: string, missing: number): number => Number(textIn(type, key) ?? missing)
    const plugin = textIn(type, 'plugin')
    const interval = number('interval', 10)
    const counts = (key: string, missing: number): number => {
      const wanted = number(key, missing)
      if (wanted > MOST_PROBES)
        this.#notes.warn(entry, `${key} of ${name} is ${MOST_PROBES}, the most that Meridian counts, and not ${wanted}`)
      return Math.min(MOST_PROBES, wanted)
    }
    const isDirect = plugin === 'extmon' && textIn(type, 'direct')?.toLowerCase() === 'true'
    const timing = {
      interval: `${interval}s`,
      timeout: type.entries.has('timeout') ? `${number('timeout', 0)}s` : `${interval * 500}ms`,
      fall: isDirect ? 1 : counts('down_thresh', 10),
      rise: isDirect ? 1 : counts('up_thresh', 20),
    }
    if (type.entries.has('ok_thresh') && !isDirect) {
      this.#notes.warn(
        entry,
        `ok_thresh of ${name} is left out: Meridian takes failures in a row, and one pass starts the count again`,
      )
    }
    const check = (value: YamlMapping): Monitoring => {
      this.#draft.check(name, value)
      return { checks: [name], isDown: false }
    }
    switch (plugin ?? '') {
      case 'http_status': {
        const host = textIn(type, 'vhost')
        const port = number('port', 80)
        const path = textIn(type, 'url_path')
        const codes = textsOf(find(type, 'ok_codes') ?? { kind: 'list', items: [], ...entry })
        return check({
          type: 'http',
          ...(port !== 80 && { port }),
          ...(path !== undefined && path !== '/' && { path }),
          ...(host !== undefined && { host }),
          ...(codes !== undefined && codes.length > 0 && { expect: { status: codes } }),
          ...timing,
        })
      }
      case 'tcp_connect':
        return check({ type: 'tcp', port: number('port', 0), ...timing })
      case 'extmon': {
        const command = (textsOf(find(type, 'cmd') ?? { kind: 'list', items: [], ...entry }) ?? []).join(' ')
        const item = command.includes('%%ITEM%%') ? ', with the variable MERIDIAN_ADDRESS in place of %%ITEM%%' : ''
        const message = `the command of ${name} belongs into each prober's setting probe.exec as “${name}”${item}: ${command}`
        this.#notes.warn(entry, message)
        return check({ type: 'exec', command: name, ...timing })
      }
      case 'static':
        return textIn(type, 'state')?.toUpperCase() === 'DOWN' ? { checks: [], isDown: true } : UNWATCHED
      case 'null':
        return { checks: [], isDown: true }
      default: {
        const what = plugin === 'extfile' ? 'reads states from a file' : `is of the plugin “${plugin ?? ''}”`
        this.#notes.warn(
          entry,
          `${name} is not taken over, and what it monitored is not checked: it ${what}; write a check of type exec or agent`,
        )
        return UNWATCHED
      }
    }
  }
}

/** The text of a key; undefined if it is not there, or something else. */
export function textIn(hash: VscfHash, key: string): string | undefined {
  const value = find(hash, key)
  return value?.kind === 'text' ? value.text : undefined
}

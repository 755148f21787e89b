/**
 * The settings of a receiver of notifications, `notify.NAME.KEY`: the rows that config.ts reads `notify` by. What they
 * mean together (a receiver needs a URL) is checked in node/settings.ts; events/notify/ sends by them.
 */
import { resolve } from 'node:path'
import { list, one, Secret, type Setting } from './setting.ts'

/** Who can be told, and thereby in which form. */
export const RECEIVER_TYPES = ['webhook', 'slack', 'pagerduty', 'alertmanager', 'mail'] as const
/** One of RECEIVER_TYPES. */
export type ReceiverType = (typeof RECEIVER_TYPES)[number]

/** Kinds of events, as events/event.ts has them: a test holds the two to each other. */
const KINDS = [
  'verdict',
  'brake',
  'last-resort',
  'override',
  'drill',
  'zones',
  'databases',
  'prober',
  'node',
  'announce',
  'store',
  'certificate',
  'thread',
  'process',
] as const
const LEAST = ['info', 'warning', 'critical'] as const

/** The name of a receiver: what a variable can spell, with `_` for `-`. */
export const RECEIVER_NAME = /^[a-z][a-z0-9-]{0,30}$/

const among =
  <T extends string>(all: readonly T[]) =>
  (value: string): T | undefined =>
    all.find((each) => each === value)
const inWords = (all: readonly string[]): string => all.map((each) => `\`${each}\``).join(', ')
const name = (value: string): string | undefined =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value) ? value : undefined
const mailbox = (value: string): string | undefined =>
  /^[^\s@<>,;"]{1,64}@[^\s@<>,;"]{1,190}$/.test(value) ? value : undefined

/** A secret of that form, or `file:PATH` with the path made absolute. */
const secret =
  (pattern: RegExp) =>
  (value: string, folder: string): Secret | undefined => {
    const file = /^file:(.+)$/.exec(value)?.[1]
    if (file !== undefined) return new Secret(`file:${resolve(folder, file)}`)
    return pattern.test(value) ? new Secret(value) : undefined
  }

/** The rows. */
export const RECEIVER = {
  type: one<ReceiverType>({
    type: inWords(RECEIVER_TYPES),
    default: ['webhook'],
    meaning: 'Who is told, and so in which form. See [notifications](notifications.md).',
    read: among(RECEIVER_TYPES),
  }),
  url: one<Secret | undefined>({
    type: '`https://` or `http://`, of type `mail` `smtps://` or `smtp://`; or `file:PATH`',
    default: [],
    defaultInWords: 'of PagerDuty its own',
    meaning:
      'Where the receiver is, with what its login needs: it is kept secret. With `file:` the first line of the file, read for each message.',
    secret: true,
    read: secret(/^(?:https?|smtps?):\/\/[\x21-\x7e]{1,2000}$/),
  }),
  key: one<Secret | undefined>({
    type: 'printable characters without spaces, or `file:PATH`',
    default: [],
    meaning: 'Of type `pagerduty`: the integration key of its Events API v2.',
    secret: true,
    read: secret(/^[\x21-\x7e]{1,200}$/),
  }),
  secret: one<Secret | undefined>({
    type: 'at least 16 printable characters without spaces, or `file:PATH`',
    default: [],
    meaning:
      'Signs each request with HMAC-SHA256, as Standard Webhooks has it: `webhook-signature`. Of a text that begins with `whsec_` the rest is base64.',
    secret: true,
    read: secret(/^[\x21-\x7e]{16,200}$/),
  }),
  severity: one<(typeof LEAST)[number]>({
    type: inWords(LEAST),
    default: ['warning'],
    meaning: 'The least severity that is told. The end of what was told is told too, although it is `info`.',
    read: among(LEAST),
  }),
  kinds: list<(typeof KINDS)[number]>({
    type: inWords(KINDS),
    default: [],
    defaultInWords: 'all',
    meaning: 'Kinds of events that are told.',
    read: among(KINDS),
  }),
  sites: list<string>({
    type: 'sites of `sites.yaml`',
    default: [],
    defaultInWords: 'all events',
    meaning: 'Only events at these sites are told.',
    read: name,
  }),
  services: list<string>({
    type: 'services of `services.yaml`',
    default: [],
    defaultInWords: 'all events',
    meaning: 'Only events of these services are told.',
    read: name,
  }),
  from: one<string | undefined>({
    type: 'an address, `meridian@example.com`',
    default: [],
    meaning: 'Of type `mail`: who sends it.',
    read: mailbox,
  }),
  to: list<string>({
    type: 'addresses',
    default: [],
    meaning: 'Of type `mail`: who gets it.',
    read: mailbox,
  }),
} as const satisfies Record<string, Setting<unknown>>

/** A receiver of notifications with all of its settings. */
export type Receiver = {
  readonly [K in keyof typeof RECEIVER]: (typeof RECEIVER)[K] extends Setting<infer T> ? T : never
}

/**
 * The secrets of receivers: written in the settings or a variable, or in a file, whose first line is read for each
 * message, so that it is replaced without a restart. And what is wrong with a receiver's settings, for node/settings.ts.
 */
import { readFileSync } from 'node:fs'
import type { Receiver, ReceiverType } from '../../config/receivers.ts'
import type { Secret } from '../../config/setting.ts'
import { codeOf, messageOf } from '../../problem.ts'

const FILE = 'file:'
const MOST_CHARACTERS = 4096

/** The text of a secret. Throws, in words that show nothing of it, if its file can't be read or is empty. */
export function revealed(secret: Secret): string {
  const text = secret.reveal()
  if (!text.startsWith(FILE)) return text
  const path = text.slice(FILE.length)
  let line
  try {
    line = readFileSync(path, 'utf8').slice(0, MOST_CHARACTERS).split('\n', 1)[0]!.trim()
  } catch (error) {
    throw new Error(`${path} can't be read: ${codeOf(error) ?? messageOf(error)}`, { cause: error })
  }
  if (line === '') throw new Error(`${path} is empty`)
  return line
}

/** PagerDuty's own place; `url` names another one, as for the EU region. */
export const PAGERDUTY_URL = 'https://events.pagerduty.com/v2/enqueue'

/** The URL of a receiver that has no fault. Throws as revealed(), or if it is none. */
export function urlOf({ type, url }: Receiver): URL {
  const text = url === undefined && type === 'pagerduty' ? PAGERDUTY_URL : url === undefined ? '' : revealed(url)
  const parsed = URL.parse(text)
  if (parsed === null || !SCHEMES[type].includes(parsed.protocol)) throw new Error(`url is no ${inWords(type)}`)
  if (type === 'alertmanager' && !parsed.pathname.endsWith(ALERTS))
    parsed.pathname = `${parsed.pathname.replace(/\/$/, '')}${ALERTS}`
  return parsed
}

const ALERTS = '/api/v2/alerts'
const WEB: readonly string[] = ['https:', 'http:']
const SCHEMES: Readonly<Record<ReceiverType, readonly string[]>> = {
  webhook: WEB,
  slack: WEB,
  pagerduty: WEB,
  alertmanager: WEB,
  mail: ['smtps:', 'smtp:'],
}
const inWords = (type: ReceiverType): string => SCHEMES[type].map((scheme) => `${scheme}//…`).join(' or ')

/** What is wrong with a receiver: the key to change, and the remedy. */
export interface ReceiverFault {
  readonly part: keyof Receiver
  readonly message: string
  readonly hint: string
}

/** What each type needs beyond its URL. */
const NEEDS: readonly (readonly [ReceiverType, keyof Receiver, string])[] = [
  ['pagerduty', 'key', 'The integration key of PagerDuty’s Events API v2, or file:PATH'],
  ['mail', 'from', 'Who sends it: from: meridian@example.com'],
  ['mail', 'to', 'Who gets it: to: [ops@example.com]'],
]

/** All faults of a receiver's settings. */
export function receiverFaults(receiver: Receiver): readonly ReceiverFault[] {
  const { type } = receiver
  const faults: ReceiverFault[] = []
  if (receiver.url === undefined && type !== 'pagerduty') {
    faults.push({ part: 'url', message: `type ${type} needs a url`, hint: `url: ${inWords(type)}, or file:PATH` })
  }
  for (const [of, part, hint] of NEEDS) {
    const value = receiver[part]
    const isMissing = value === undefined || (Array.isArray(value) && value.length === 0)
    if (of === type && isMissing) faults.push({ part, message: `type ${type} needs ${part}`, hint })
    if (of !== type && !isMissing && !NEEDS.some(([other, key]) => other === type && key === part))
      faults.push({ part, message: `${part} is for type ${of}, and this is of type ${type}`, hint: `type: ${of}` })
  }
  const { url, key, secret } = receiver
  if (secret !== undefined && type === 'mail')
    faults.push({
      part: 'secret',
      message: 'a mail is not signed',
      hint: 'Leave secret out: it signs requests over HTTP',
    })
  for (const [part, value] of Object.entries({ url, key, secret })) {
    if (value === undefined) continue
    const message = faultOf(() => (part === 'url' ? urlOf(receiver) : revealed(value)))
    if (message !== undefined && (part === 'url' || part === 'key' || part === 'secret'))
      faults.push({
        part,
        message,
        hint:
          part === 'url'
            ? `url: ${inWords(type)}, or file:PATH`
            : 'A text, or file:PATH of a file that the process may read',
      })
  }
  return faults
}

function faultOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

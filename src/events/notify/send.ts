/** One attempt to tell a receiver: the message in its form, with its secrets, over HTTP or SMTP. */
import type { Receiver } from '../../config/receivers.ts'
import { messageOf } from '../../problem.ts'
import type { Message } from './message.ts'
import { revealed, urlOf } from './secrets.ts'
import { alertmanagerBody, pagerdutyBody, slackBody, webhookBody } from './templates.ts'
import { type Outcome, post } from './webhook.ts'

/** An attempt takes no longer. */
export const TIMEOUT_MS = 10_000

/** Sends a message once. `lost`: messages that were dropped before it. Never rejects. */
export async function send(
  receiver: Receiver,
  message: Message,
  lost: number,
  timeoutMs = TIMEOUT_MS,
): Promise<Outcome> {
  const nowMs = Date.now()
  try {
    const url = urlOf(receiver)
    if (receiver.type === 'mail') {
      const { sendMail } = await import('./mail.ts') // only who mails needs its library
      return await sendMail(receiver, url, message, lost, timeoutMs)
    }
    const key = receiver.key === undefined ? '' : revealed(receiver.key)
    const secret = receiver.secret === undefined ? undefined : revealed(receiver.secret)
    const body = JSON.stringify(bodyOf(receiver, message, lost, key, nowMs))
    const path = url.pathname === '/' ? '' : url.pathname
    const hidden = [key, secret ?? '', path, url.search, url.username, url.password]
    const signed = secret === undefined ? {} : { secret }
    return await post({ url, id: message.id, body, hidden, timeoutMs, nowMs, ...signed })
  } catch (error) {
    return { sent: false, why: messageOf(error), isFinal: false }
  }
}

function bodyOf({ type }: Receiver, message: Message, lost: number, key: string, nowMs: number): object {
  if (type === 'slack') return slackBody(message, lost)
  if (type === 'pagerduty') return pagerdutyBody(message, lost, key)
  if (type === 'alertmanager') return alertmanagerBody(message, nowMs)
  return webhookBody(message, lost)
}

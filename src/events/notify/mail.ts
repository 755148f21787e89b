/**
 * A message as a mail, by SMTP: nodemailer. A mail has the message's id as its Message-ID, and refers to its problem, so
 * that a mail program shows one that came twice once, and the end of a problem below its begin.
 */
import { hash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import type { Receiver } from '../../config/receivers.ts'
import { codeOf, inLine, messageOf } from '../../problem.ts'
import type { Message } from './message.ts'
import { mailText } from './templates.ts'
import type { Outcome } from './webhook.ts'

const MOST_SHOWN = 300

/**
 * Sends a mail over a connection of its own. `smtp://` turns to TLS where the server offers it, and must where there is
 * a login: it is never sent in the clear. Never rejects.
 */
export async function sendMail(
  { from, to }: Receiver,
  url: URL,
  message: Message,
  lost: number,
  timeoutMs: number,
): Promise<Outcome> {
  const isSecure = url.protocol === 'smtps:'
  const login = { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) }
  const transport = createTransport({
    host: url.hostname.replaceAll(/[[\]]/g, ''),
    port: url.port === '' ? (isSecure ? 465 : 587) : Number(url.port),
    secure: isSecure,
    ...(login.user !== '' && { auth: login, requireTLS: !isSecure }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const domain = from?.slice(from.indexOf('@') + 1) ?? 'meridian'
  const thread = hash('sha256', message.problem, 'hex').slice(0, 32)
  try {
    await transport.sendMail({
      from,
      to: [...to],
      ...mailText(message, lost),
      messageId: `<${message.id}@${domain}>`,
      references: [`<${thread}@${domain}>`],
      headers: { 'X-Meridian-Id': message.id, 'Auto-Submitted': 'auto-generated' },
    })
    return { sent: true }
  } catch (error) {
    const said = inLine(messageOf(error).slice(0, MOST_SHOWN))
    const why = [login.user, login.pass]
      .filter((text) => text !== '')
      .reduce((left, text) => left.replaceAll(text, '…'), said)
    return { sent: false, why: `${url.hostname}: ${why}`, isFinal: isRefusal(error) }
  } finally {
    transport.close()
  }
}

/** Whether the server refuses the content for good: 552 (too large) or 554 after DATA (RFC 5321 §4.2.3). */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error) || codeOf(error) !== 'EMESSAGE') return false
  const status: unknown = Reflect.get(error, 'responseCode')
  return status === 552 || status === 554
}

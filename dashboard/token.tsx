/** Asks the operator for the token that the API wants. */
import { useState } from 'preact/hooks'
import type { Refused } from './api.ts'
import { Dialog } from './parts.tsx'

export function TokenDialog(props: {
  readonly why: Refused
  /** undefined: no token was given. */
  readonly onGiven: (token: string | undefined) => void
}) {
  const { why, onGiven } = props
  const [token, setToken] = useState('')
  return (
    <Dialog title="Token" onClose={() => onGiven(undefined)}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (token !== '') onGiven(token)
        }}
      >
        <p>{why.message}.</p>
        <label class="field">
          Token of this node’s API
          <input
            type="password"
            autocomplete="current-password"
            autofocus
            value={token}
            onInput={(event) => setToken(event.currentTarget.value.trim())}
          />
        </label>
        <p class="hint">It stays in this tab, and is forgotten with it. docs/api.md says where it is set.</p>
        <div class="buttons">
          <button type="submit" class="main" disabled={token === ''}>
            Use it
          </button>
        </div>
      </form>
    </Dialog>
  )
}

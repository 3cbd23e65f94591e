#!/usr/bin/env bash
# The specification's quick start, as a newcomer types it: the commands of quick_start.md, word for word,
# then its eleven endpoints and three ways to authenticate. Needs curl, sed, grep and a running edge
# (deploy/up). PROXY_URL and MAIL_DIR say where; the tenant `acme` must not exist yet.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROXY_URL=${PROXY_URL:-http://localhost:8080}
MAIL_DIR=${MAIL_DIR:-$here/../.dev/mail}
checked=0

fail() {
    printf '✗ %s\n' "$*" >&2
    exit 1
}

# Every request, those of the specification too, goes through this: it keeps status and body apart.
curl() {
    local all
    all=$(command curl -sS -w '\n%{http_code}' "$@") || fail "no answer: curl $*"
    status=${all##*$'\n'}
    body=${all%$'\n'*}
}

# expect STATUS WHAT: the last answer's status.
expect() {
    [ "$status" = "$1" ] || fail "$2: expected $1, got $status: $body"
    printf '✓ %s %s\n' "$status" "$2"
    checked=$((checked + 1))
}

# field NAME: a text field of the last body.
field() { printf '%s' "$body" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

contains() { printf '%s' "$body" | grep -q -- "$1" || fail "no $1 in: $body"; }

# The shell block under the heading that starts with `### N.`, with this run's values filled in.
block() {
    sed -n "/^### $1\./,/^### /p" "$here/quick_start.md" | sed -n '/^```bash$/,/^```$/p' | sed '/^```/d' |
        sed -e "s|http://localhost:8080|$PROXY_URL|" -e "s|{tenant_id}|${tenant_id:-}|" \
            -e "s|{jwt_token}|${jwt_token:-}|"
}

# --- the four calls -------------------------------------------------------------------------------------
eval "$(block 1)"
[ "$status" != 409 ] || fail "the tenant acme exists already; start over with deploy/up --fresh"
expect 201 "create a tenant"
tenant_id=$(printf '%s' "$body" | grep -o 'tenant_[0-9a-z]*' | head -n 1)
jwt_token=$(field access_token)
contains '"subdomain":"acme"'
contains '"email":"owner@acme.com"'
[ -n "$tenant_id" ] && [ -n "$jwt_token" ] || fail "no tenant or token in: $body"

eval "$(block 2)"
expect 201 "add a user: invited"
contains '"status":"Invited"'
contains '"role":"Manager"'
member_id=$(printf '%s' "$body" | grep -o 'member_[0-9a-z]*' | head -n 1)

eval "$(block 3)"
expect 201 "create an API key"
api_key=$(field key)
key_id=$(printf '%s' "$body" | grep -o 'key_[0-9a-z]\{26\}' | head -n 1)
case $api_key in pk_*) ;; *) fail "not an API key: $api_key" ;; esac

eval "$(block 4)"
expect 200 "upgrade the plan"
contains '"plan":"Enterprise"'
contains '"Yearly"'

# --- the invitation's mail --------------------------------------------------------------------------------
find_mail() { grep -l 'manager@acme.com' "$MAIL_DIR"/*.eml 2>/dev/null | head -n 1; }
for _ in $(seq 100); do
    mail=$(find_mail) && [ -n "$mail" ] && break
    sleep 0.1
done
[ -n "${mail:-}" ] || fail "no mail to manager@acme.com in $MAIL_DIR"
# Quoted-printable breaks lines with `=` and writes `=` as `=3D`.
invitation=$(tr -d '\r' <"$mail" | sed -e ':a' -e '/=$/{N;s/=\n//;ba' -e '}' |
    sed -n 's/.*token=\(3D\)\{0,1\}\([0-9A-Za-z]*\).*/\2/p' | head -n 1)
[ -n "$invitation" ] || fail "no link with a token in $mail"
curl -X POST "$PROXY_URL/api/v1/invitations/accept" -H "Content-Type: application/json" \
    -d "{\"token\": \"$invitation\", \"password\": \"correct horse battery staple 7\"}"
expect 200 "accept the mailed invitation"
curl -X POST "$PROXY_URL/api/v1/auth/login" -H "Content-Type: application/json" \
    -d '{"email": "manager@acme.com", "password": "correct horse battery staple 7"}'
expect 200 "sign in as the invited manager"
manager_token=$(field access_token)

# --- the other endpoints ----------------------------------------------------------------------------------
tenant="$PROXY_URL/api/v1/tenants/$tenant_id"
owner="Authorization: Bearer $jwt_token"
curl "$tenant" -H "$owner"
expect 200 "get the tenant"
contains '"name":"Acme Corp"'
curl -X PUT "$tenant" -H "$owner" -H "Content-Type: application/json" -d '{"name": "Acme Corporation"}'
expect 200 "update the tenant"
contains '"name":"Acme Corporation"'
curl "$tenant/users" -H "$owner"
expect 200 "list users"
contains "$member_id"
curl "$tenant/billing" -H "$owner"
expect 200 "get billing"
contains '"Enterprise"'
curl "$tenant/invoices" -H "$owner"
expect 200 "list invoices"
curl "$tenant/usage" -H "$owner"
expect 200 "get usage"
curl "$tenant/api-keys" -H "$owner"
expect 200 "list API keys"
contains "$key_id"
if printf '%s' "$body" | grep -q "$api_key"; then fail "the list shows the key itself"; fi

# --- three ways to authenticate -----------------------------------------------------------------------------
curl "${PROXY_URL/\/\/localhost//\/acme.api.localhost}/api/v1/dashboard" -H "$owner"
expect 200 "dashboard by subdomain"
contains "$tenant_id"
curl -X POST "$tenant/api-keys" -H "$owner" -H "Content-Type: application/json" \
    -d '{"name": "Dashboard", "permissions": ["usage.read"]}'
expect 201 "create a key that may read usage"
curl "$PROXY_URL/api/v1/dashboard" -H "Authorization: Bearer $(field key)"
expect 200 "dashboard by API key"
curl "$PROXY_URL/api/v1/dashboard" -H "Authorization: Bearer $manager_token" -H "X-Tenant-ID: $tenant_id"
expect 200 "dashboard by JWT and X-Tenant-ID"
curl "$PROXY_URL/api/v1/dashboard" -H "X-Tenant-ID: $tenant_id"
expect 401 "no dashboard without a credential"

curl -X DELETE "$tenant/api-keys/$key_id" -H "$owner"
expect 204 "delete the API key"
curl "$PROXY_URL/api/v1/dashboard" -H "Authorization: Bearer $api_key"
expect 401 "the deleted key is refused at once"

printf '%s checks passed\n' "$checked"

#!/bin/sh
# Makes what the marketplace and TLS at both ends need, for development: the stubs of recommendations.proto, and
# certificates of an authority that exists for this alone. Further names or addresses of the server may be given:
#     sh prepare-marketplace.sh recommendations 10.0.0.7
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p certificates
python -m grpc_tools.protoc -I . --python_out=marketplace --grpc_python_out=marketplace recommendations.proto

names="DNS:localhost,IP:127.0.0.1"
for name in "$@"; do
    case "$name" in
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done

made() { # folder and name, subject, the names that it has
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -subj "/CN=$2" -out "$1.csr"
    echo "subjectAltName=$3" > "$1.names"
    openssl x509 -req -in "$1.csr" -CA certificates/ca.pem -CAkey certificates/ca.key -CAcreateserial -days 365 \
        -extfile "$1.names" -out "$1.pem"
    rm "$1.csr" "$1.names"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout certificates/ca.key \
    -subj "/CN=Bookshop development" -days 365 -out certificates/ca.pem
made certificates/server recommendations "$names"
made marketplace/client marketplace DNS:marketplace
cp certificates/ca.pem marketplace/ca.pem
echo "Wrote the stubs and the certificate of the marketplace into marketplace/, that of the server into certificates/."

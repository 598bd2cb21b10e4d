#!/bin/sh
# Fetches Amazon's DynamoDB Local (Java, its own licence) from Maven Central into the user's cache, once.
# It is only a third witness of the store's behaviour suite: nothing of the product needs it, and where Java 17
# or Maven is missing the suite says that it is skipped. Prints the folder it stands in.
set -eu

version=3.0.0
home="${XDG_CACHE_HOME:-$HOME/.cache}/nextbest/dynamodb-local-$version"

if [ ! -e "$home/READY" ]; then
    for tool in java mvn; do
        command -v "$tool" >/dev/null 2>&1 || { echo "skipped: DynamoDB Local needs $tool" >&2; exit 0; }
    done
    mkdir -p "$home"
    cat > "$home/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>nextbest</groupId><artifactId>dynamodb-local</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>software.amazon.dynamodb</groupId><artifactId>DynamoDBLocal</artifactId><version>$version</version>
    </dependency>
  </dependencies>
</project>
POM
    (cd "$home" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$home/lib" -DincludeScope=runtime) >&2 \
        || { echo "skipped: Maven Central did not serve DynamoDB Local $version" >&2; exit 0; }
    touch "$home/READY"
fi
echo "$home"

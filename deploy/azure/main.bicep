// The bridge on Azure Container Apps: web server, worker, nightly comparison, PostgreSQL in a private network, secrets in
// a Key Vault that a managed identity reads. docs/deploy-azure.md has the commands.

@description('Where everything is.')
param location string = resourceGroup().location

@description('Begins the name of everything; 3 to 12 lower-case letters and digits.')
@minLength(3)
@maxLength(12)
param name string = 'scimbridge'

@description('Name of the container registry in this resource group that has the image.')
param registryName string

@description('The image in that registry, best with its digest: scim-bridge@sha256:….')
param image string = 'scim-bridge:0.1.0'

@description('The name that Entra calls. Empty: the name that Container Apps gives.')
param host string = ''

param ditioApiUrl string = 'https://core-api.ditio.app/core'
param ditioIdentityUrl string = 'https://identity.ditio.app'
param ditioClientId string

@secure()
param ditioClientSecret string

@description('Password of PostgreSQL: letters and digits only, because it stands in a URL.')
@secure()
@minLength(24)
param databasePassword string

@description('What Prometheus sends to read /metrics.')
@secure()
@minLength(16)
param metricsToken string

@description('Other settings: variables by name, as { SCIM_BRIDGE_MAPPING__PHONE_REGION: \'SE\' }.')
param settings object = {}

@description('When all people are compared, in UTC. Empty: never.')
param reconcileSchedule string = '15 1 * * *'

@description('Repair what the comparison finds, within its guards.')
param reconcileApply bool = false

@minValue(1)
param webReplicas int = 2

@minValue(1)
param workerReplicas int = 1

param databaseSku string = 'Standard_B2s'

@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param databaseTier string = 'Burstable'

@description('A second server in another zone; needs the tier GeneralPurpose.')
param databaseHighAvailability bool = false

@minValue(7)
@maxValue(35)
param backupDays int = 35

var network = '10.60.0.0/16'
var appsSubnet = '10.60.0.0/23'
var databaseSubnet = '10.60.2.0/28'
var suffix = uniqueString(resourceGroup().id)

// -- Logs, identity, registry ---------------------------------------------------------------------------------------

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 90
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-identity'
  location: location
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource acrPull 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
}

resource keyVaultSecretsUser 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: '4633458b-17de-408a-875a-0445c86b69e6'
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identity.id, acrPull.id)
  scope: registry
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: acrPull.id
  }
}

// -- Network: PostgreSQL has no public address ----------------------------------------------------------------------

resource vnet 'Microsoft.Network/virtualNetworks@2023-11-01' = {
  name: '${name}-network'
  location: location
  properties: {
    addressSpace: { addressPrefixes: [network] }
    subnets: [
      {
        name: 'apps'
        properties: {
          addressPrefix: appsSubnet
          delegations: [
            {
              name: 'apps'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'database'
        properties: {
          addressPrefix: databaseSubnet
          delegations: [
            {
              name: 'database'
              properties: { serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers' }
            }
          ]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: '${name}-${suffix}.private.postgres.database.azure.com'
  location: 'global'
}

resource zoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: zone
  name: 'network'
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: vnet.id }
  }
}

resource postgres 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: '${name}-${suffix}'
  location: location
  sku: {
    name: databaseSku
    tier: databaseTier
  }
  properties: {
    version: '16'
    administratorLogin: 'scim_bridge'
    administratorLoginPassword: databasePassword
    storage: {
      storageSizeGB: 32
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupDays
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: { mode: databaseHighAvailability ? 'ZoneRedundant' : 'Disabled' }
    network: {
      delegatedSubnetResourceId: '${vnet.id}/subnets/database'
      privateDnsZoneArmResourceId: zone.id
    }
  }
  dependsOn: [zoneLink]
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: postgres
  name: 'scim_bridge'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

// -- Secrets --------------------------------------------------------------------------------------------------------

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: take('${name}-${suffix}', 24)
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
  }
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identity.id, keyVaultSecretsUser.id)
  scope: vault
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: keyVaultSecretsUser.id
  }
}

resource databaseUrl 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'database-url'
  properties: {
    value: 'postgresql://scim_bridge:${databasePassword}@${postgres.properties.fullyQualifiedDomainName}/scim_bridge?sslmode=require'
  }
}

resource ditioSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'ditio-client-secret'
  properties: { value: ditioClientSecret }
}

resource metricsSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'metrics-token'
  properties: { value: metricsToken }
}

// -- The bridge -----------------------------------------------------------------------------------------------------

resource apps 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: '${name}-environment'
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
    vnetConfiguration: { infrastructureSubnetId: '${vnet.id}/subnets/apps' }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

var webName = '${name}-web'
var publicHost = empty(host) ? '${webName}.${apps.properties.defaultDomain}' : host
var registries = [
  {
    server: registry.properties.loginServer
    identity: identity.id
  }
]
var secrets = [
  {
    name: databaseUrl.name
    keyVaultUrl: databaseUrl.properties.secretUri
    identity: identity.id
  }
  {
    name: ditioSecret.name
    keyVaultUrl: ditioSecret.properties.secretUri
    identity: identity.id
  }
  {
    name: metricsSecret.name
    keyVaultUrl: metricsSecret.properties.secretUri
    identity: identity.id
  }
]
// Secrets are files: neither a variable nor the list of processes shows them.
var volumes = [
  {
    name: 'secrets'
    storageType: 'Secret'
  }
]
var volumeMounts = [
  {
    volumeName: 'secrets'
    mountPath: '/run/secrets/scim-bridge'
  }
]
var variables = {
  SCIM_BRIDGE_SERVER__BASE_URL: 'https://${publicHost}'
  // The ingress of Container Apps: its own network, and the subnet of the apps.
  SCIM_BRIDGE_SERVER__TRUSTED_PROXIES: '["100.100.0.0/16","${appsSubnet}"]'
  SCIM_BRIDGE_DATABASE__URL_FILE: '/run/secrets/scim-bridge/database-url'
  SCIM_BRIDGE_DITIO__API_URL: ditioApiUrl
  SCIM_BRIDGE_DITIO__IDENTITY_URL: ditioIdentityUrl
  SCIM_BRIDGE_DITIO__CLIENT_ID: ditioClientId
  SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE: '/run/secrets/scim-bridge/ditio-client-secret'
  SCIM_BRIDGE_SERVER__METRICS_TOKEN_FILE: '/run/secrets/scim-bridge/metrics-token'
  SCIM_BRIDGE_LOG__FORMAT: 'json'
}
var env = map(items(union(variables, settings)), each => { name: each.key, value: each.value })
var fullImage = '${registry.properties.loginServer}/${image}'

resource web 'Microsoft.App/containerApps@2024-03-01' = {
  name: webName
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    environmentId: apps.id
    configuration: {
      activeRevisionsMode: 'Single'
      registries: registries
      secrets: secrets
      ingress: {
        external: true
        targetPort: 8080
        transport: 'http'
        allowInsecure: false
      }
    }
    template: {
      terminationGracePeriodSeconds: 40
      containers: [
        {
          name: 'web'
          image: fullImage
          command: ['scim-bridge', 'serve', '--without-worker', '--bind', '0.0.0.0:8080']
          env: env
          volumeMounts: volumeMounts
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          probes: [
            {
              // It migrates the database first.
              type: 'Startup'
              httpGet: {
                path: '/healthz'
                port: 8080
              }
              periodSeconds: 20
              failureThreshold: 10
            }
            {
              // 503 while writes can't be kept.
              type: 'Readiness'
              httpGet: {
                path: '/readyz'
                port: 8080
              }
              periodSeconds: 5
              timeoutSeconds: 10
              failureThreshold: 3
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/healthz'
                port: 8080
              }
              periodSeconds: 20
              timeoutSeconds: 10
              failureThreshold: 6
            }
          ]
        }
      ]
      scale: {
        minReplicas: webReplicas
        maxReplicas: webReplicas
      }
      volumes: volumes
    }
  }
  dependsOn: [pulls, reads, database]
}

resource worker 'Microsoft.App/containerApps@2024-03-01' = {
  name: '${name}-worker'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    environmentId: apps.id
    configuration: {
      activeRevisionsMode: 'Single'
      registries: registries
      secrets: secrets
    }
    template: {
      terminationGracePeriodSeconds: 40
      containers: [
        {
          name: 'worker'
          image: fullImage
          command: ['scim-bridge', 'worker']
          env: env
          volumeMounts: volumeMounts
          resources: {
            cpu: json('0.25')
            memory: '0.5Gi'
          }
        }
      ]
      scale: {
        minReplicas: workerReplicas
        maxReplicas: workerReplicas
      }
      volumes: volumes
    }
  }
  // The web server migrates the database.
  dependsOn: [web]
}

resource reconcile 'Microsoft.App/jobs@2024-03-01' = if (!empty(reconcileSchedule)) {
  name: '${name}-reconcile'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    environmentId: apps.id
    configuration: {
      triggerType: 'Schedule'
      replicaTimeout: 7200
      replicaRetryLimit: 0
      scheduleTriggerConfig: {
        cronExpression: reconcileSchedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: registries
      secrets: secrets
    }
    template: {
      containers: [
        {
          name: 'reconcile'
          image: fullImage
          // Exit code 2 means that it found differences, which is what it is for.
          command: ['sh', '-c', 'scim-bridge reconcile "$@" || [ $? -eq 2 ]', 'reconcile']
          args: reconcileApply ? ['--apply', '--format=csv'] : ['--format=csv']
          env: env
          volumeMounts: volumeMounts
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
      volumes: volumes
    }
  }
  dependsOn: [web]
}

output tenantUrl string = 'https://${publicHost}/scim/v2?aadOptscim062020'
output vaultName string = vault.name
output databaseServer string = postgres.name

*** Settings ***
Documentation       The firmware of virt_rv32 on Renode.
Resource            ${RENODEKEYWORDS}
Resource            virt_rv32.resource
Suite Setup         Run Keywords    Setup    AND    Start Site
Suite Teardown      Run Keywords    Stop Site    AND    Teardown
Test Setup          Reset Emulation
Test Teardown       Run Keywords    Site.Stop Bridge    AND    Test Teardown
Test Timeout        8 minutes

*** Test Cases ***
Blank Board Announces Itself
    ${board}=    Site.Make Blank Board
    Switch On    ${board}
    Wait For Line On Uart    pawl: blank: waiting to be provisioned over the line

Provisioned Board Boots The Release In Slot A
    ${board}=    Site.Make Provisioned Board
    Switch On    ${board}
    Wait For Line On Uart    pawl: boot 1 row 7 slot A
    Wait For Line On Uart    blinky 1: on

Reset Boots Again
    ${board}=    Site.Make Provisioned Board
    Switch On    ${board}
    Wait For Line On Uart    pawl: boot 1 row 7 slot A
    Wait For Line On Uart    pawl: state IDLE
    Execute Command    machine Reset
    Wait For Line On Uart    pawl: boot 2 row 7 slot A

Broken Image Is Refused And The Recovery Agent Runs
    ${board}=    Site.Make Provisioned Board
    Site.Break Image Of Slot A    ${board}
    Switch On    ${board}
    Wait For Line On Uart    pawl: boot 1 row \\d+ slot -    treatAsRegex=true
    Wait For Line On Uart    pawl: state IDLE
    Should Not Be On Uart    blinky    timeout=2

Board Updates Itself Over The Line And The Ratchet Stays
    ${board}=    Site.Make Provisioned Board
    Switch On    ${board}
    Connect Line
    Wait For Line On Uart    pawl: reported    timeout=600
    Site.Assign Version    ${board}    2
    ${state}=    Site.Settled State    ${board}
    Should Be Equal    ${state}    succeeded
    Wait For Line On Uart    pawl: boot 2 row 5 slot B
    ${sequence}=    Site.Ratchet At Server    ${board}
    Should Be Equal As Integers    ${sequence}    2
    Switch Off
    ${before}=    Site.Ratchet In Flash    ${board}
    Switch On    ${board}
    Wait For Line On Uart    pawl: boot 3 row 7 slot B
    Execute Command    machine Reset
    Wait For Line On Uart    pawl: boot 4 row 7 slot B
    Switch Off
    ${after}=    Site.Ratchet In Flash    ${board}
    Should Be Equal    ${before}    ${after}
